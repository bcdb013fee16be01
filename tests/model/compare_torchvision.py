"""Compare our Video Swin with torchvision's, and record the golden values of test_swin.py.

Not part of the test run: torchvision is no dependency of this project. From the repository root,
in an environment of its own (about 5.5 GB, the CPU is enough):

    python -m venv compare-env
    compare-env/bin/pip install torch==2.14.1 torchvision==0.29.1 transformers safetensors numpy
    PYTHONPATH=. compare-env/bin/python tests/model/compare_torchvision.py            # compare
    PYTHONPATH=. compare-env/bin/python tests/model/compare_torchvision.py --record   # and record

Both networks get the same random weights (ours from a safetensors file, by name) and the same
pixels. The largest difference, divided by the largest feature, must stay below 1e-4 in float32 and
1e-9 in float64. It exits with status 1 when one does not.
"""

import json
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from swin_recipe import GOLDEN_SHAPES, make_pixels, make_weights, summary, torchvision_shapes
from torchvision.models.video import swin3d_b, swin3d_s

from snpkit.model.vision.swin import VIDEO_SWIN_SIZES, VideoSwin
from snpkit.model.vision.swin_weights import load_swin_weights
from snpkit.weights import read_weights

GOLDEN = Path(__file__).parents[1] / "golden" / "swin3d.json"
BUILDERS = {"video_swin_s": swin3d_s, "video_swin_b": swin3d_b}
LIMITS = {torch.float32: 1e-4, torch.float64: 1e-9}
SHAPES = (
    *GOLDEN_SHAPES,
    (1, 16, 3, 224, 224),  # the published size: nothing to pad, no clamping in space
    (1, 17, 3, 230, 198),  # every side padded, shifted in time too
    (2, 7, 3, 113, 97),  # odd frames and sizes
    (1, 1, 3, 224, 224),  # an image
    (1, 1, 3, 5, 3),  # smaller than a window, almost smaller than a patch
)


def torchvision_features(model, pixels):
    """torchvision's features after the final norm, before pooling and classifier."""
    grid = model.patch_embed(pixels.transpose(1, 2))  # it wants channels before frames
    return model.norm(model.features(grid))


def build_pair(size):
    """torchvision's network and ours with the same weights, which ours reads from a file."""
    theirs, weights = BUILDERS[size](weights=None).eval(), make_weights(size)
    state = theirs.state_dict()
    kept = {
        n: v for n, v in state.items() if "head" not in n and "relative_position_index" not in n
    }
    assert {n: tuple(v.shape) for n, v in kept.items()} == torchvision_shapes(size)
    theirs.load_state_dict(state | weights)
    ours = VideoSwin(**VIDEO_SWIN_SIZES[size]).eval()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "swin.safetensors"
        # All of torchvision's state, with classifier and index buffers, as a user would have it.
        save_file({n: v.contiguous() for n, v in theirs.state_dict().items()}, path)
        load_swin_weights(ours, read_weights(path))
    return theirs, ours


@torch.inference_mode()
def main():
    """Compare both sizes in both precisions; record when asked to."""
    golden, worst = {}, 0.0
    for size in BUILDERS:
        theirs, ours = build_pair(size)
        for dtype, limit in LIMITS.items():
            theirs, ours = theirs.to(dtype), ours.to(dtype)
            for shape in SHAPES:
                pixels = make_pixels(shape).to(dtype)
                expected, got = torchvision_features(theirs, pixels), ours(pixels)
                difference = ((got - expected).abs().max() / expected.abs().max()).item()
                worst = max(worst, difference / limit)
                print(f"{size} {str(dtype)[6:]} {shape}: {difference:.1e}", flush=True)
                if dtype == torch.float64 and shape in GOLDEN_SHAPES:
                    golden.setdefault(size, []).append({"input": shape, **summary(expected)})
    if "--record" in sys.argv:
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")
        print(f"Recorded {GOLDEN}.")
    return int(worst >= 1)


if __name__ == "__main__":
    sys.exit(main())
