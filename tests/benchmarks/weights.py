"""Names and shapes of all weights, as the published code would save them."""

from typing import Any

from tests.benchmarks.straightforward import CROSS, IMAGE, MLM_CROSS, MLM_TEXT, TEXT


def weight_shapes(config: Any) -> dict[str, tuple[int, ...]]:
    """Every weight that the published code would save for `config`, each shared tensor once."""
    hidden, shapes = config.hidden_size, {}

    def add_linear(name: str, outputs: int, inputs: int) -> None:
        shapes.update({f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)})

    def add_norm(name: str) -> None:
        shapes.update({f"{name}.weight": (hidden,), f"{name}.bias": (hidden,)})

    def add_bert(prefix: str, layers: int) -> None:
        rows = (config.vocab_size, config.max_position_embeddings, config.type_vocab_size)
        for table, count in zip(("word", "position", "token_type"), rows, strict=True):
            shapes[f"{prefix}embeddings.{table}_embeddings.weight"] = (count, hidden)
        add_norm(f"{prefix}embeddings.LayerNorm")
        for layer in (f"{prefix}encoder.layer.{number}" for number in range(layers)):
            for part in ("self.query", "self.key", "self.value", "output.dense"):
                add_linear(f"{layer}.attention.{part}", hidden, hidden)
            add_norm(f"{layer}.attention.output.LayerNorm")
            add_linear(f"{layer}.intermediate.dense", config.intermediate_size, hidden)
            add_linear(f"{layer}.output.dense", hidden, config.intermediate_size)
            add_norm(f"{layer}.output.LayerNorm")

    add_bert(TEXT, config.num_hidden_layers)
    if config.architecture == "three_fusion":
        add_bert(CROSS, config.cross_layers)
    for name in (f"{TEXT}pooler.dense", f"{CROSS}pooler.dense", f"{IMAGE}0", f"{IMAGE}2"):
        add_linear(name, hidden, hidden)
    if config.vision_width != hidden:
        shapes["model.module.img_proj"] = (config.vision_width, hidden)
    add_linear("model.similarity_dense.0", 2 * hidden, hidden)
    add_linear("model.similarity_dense.2", 1, 2 * hidden)
    add_linear("itm_head.cls.seq_relationship", 2, hidden)
    for head in (f"{MLM_TEXT}.cls.predictions", f"{MLM_CROSS}.cls.predictions"):
        add_linear(f"{head}.transform.dense", hidden, hidden)
        add_norm(f"{head}.transform.LayerNorm")
        shapes[f"{head}.bias"] = (config.vocab_size,)
    return shapes
