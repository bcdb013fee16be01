"""A script that starts fresh processes outside its main guard is told so, at once."""

import subprocess
import sys

import pytest

LINES = {
    "make_loader": """
        from snpkit.data.dataset import VideoTextDataset
        from snpkit.data.loader import ShuffledBatches, make_loader
        from snpkit.data.samples import sample_manifest

        dataset = VideoTextDataset(sample_manifest(), 1, 1, 16, True)
        loader = make_loader(dataset, ShuffledBatches(len(dataset), 40), 1, context="spawn")
        print("done", len(list(loader)))
    """,
    "Reading in processes": """
        from snpkit.data.samples import sample_manifest
        from snpkit.video.guarded import ReaderPool
        from snpkit.video.reader import read_clips

        manifest = sample_manifest()
        print("done", len(ReaderPool().call(read_clips, manifest.path_of(manifest.rows[0]))))
    """,
    "Tagging": """
        from snpkit.language.tagging import tag_captions

        print("done", len(list(tag_captions(["a red kite", "it falls"], batch_size=1, workers=2))))
    """,
    "generate_corpus": """
        from snpkit.data.synthetic import generate_corpus

        counts = {"train": 6, "validation": 1, "test": 1, "size": 32, "seconds": 0.5}
        print("done", len(generate_corpus("corpus", workers=2, **counts).rows))
    """,
}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", LINES)
def test_the_guard_is_named_where_it_is_missing_and_else_all_is_well(tmp_path, name):
    body = LINES[name].strip("\n").rstrip()
    script = tmp_path / "script.py"
    for guard, status in (("if True:", 1), ('if __name__ == "__main__":', 0)):
        script.write_text(f"{guard}\n{body}\n")
        options = {"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 200}
        done = subprocess.run([sys.executable, script], **options)
        last = (done.stdout if status == 0 else done.stderr).strip().splitlines()[-1]
        assert done.returncode == status, done.stderr
        if status:
            assert f"{name}" in last and 'below `if __name__ == "__main__":`' in last
            assert "memory" not in last
        else:
            assert last.startswith("done")
