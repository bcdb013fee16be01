"""Which files are taken for videos and pictures, by the endings of their names; in lower case.

One list for whoever looks for files: search, `snpkit prepare`, `snpkit verify`. Whether a file can
be read is found out by reading it.
"""

from pathlib import Path

# The likeliest first: a data set's annotations may leave the ending out.
VIDEO_SUFFIXES = (
    ".mp4", ".avi", ".mkv", ".webm", ".mov", ".m4v", ".3gp", ".mpg", ".wmv", ".flv", ".mpeg", ".ts",
    ".mts", ".m2ts", ".3g2", ".dv", ".mod", ".ogv", ".gif", ".vob", ".asf", ".f4v", ".mpe", ".m2t",
    ".m1v", ".m2v", ".mpv", ".tod", ".trp", ".qt", ".ogm", ".divx", ".xvid", ".rm", ".rmvb",
    ".mxf", ".nut", ".wtv", ".amv", ".ivf", ".mjpg", ".mjpeg", ".h264", ".264", ".h265", ".hevc",
    ".y4m", ".apng", ".mk3d", ".mp4v", ".dvr-ms",
)  # fmt: skip
# Of these .png, .webp and .avif may also be moving pictures, which are read as videos.
IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".webp", ".bmp", ".jfif", ".jpe", ".tif", ".tiff", ".avif",
)  # fmt: skip


def is_video_name(path: str | Path) -> bool:
    """Whether a file's name is that of a video."""
    return str(path).lower().endswith(VIDEO_SUFFIXES)


def is_image_name(path: str | Path) -> bool:
    """Whether a file's name is that of a picture."""
    return str(path).lower().endswith(IMAGE_SUFFIXES)
