"""One ONNX file of a network, by torch's own exporter, without what is of no use outside of it."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import Any, TypeAlias

import torch
from torch import nn

from specdnn.structures import SpecDNNError, first_line

NEEDED = ("onnx", "onnxscript", "onnxruntime")
IMAGE, PROBABILITIES, BATCH = "image", "probabilities", "batch"  # names in the file
# A Gather takes elements one by one, a product of matrices many at a time: up to so many products for each gathered
# element the larger matrix is the faster of the two (measured with onnxruntime 1.32: it is as fast at about 450).
DEAR = 256
Model: TypeAlias = Any  # onnx.ModelProto: onnx is loaded when it is needed, and is not annotated


def to_bytes(network: nn.Module, image_shape: tuple[int, ...]) -> bytes:
    """An ONNX file: `image` (batch, *image_shape) -> `probabilities` (batch, outputs), any batch.

    `network`: in evaluation mode, on the processor. Raises SpecDNNError, one sentence, where torch cannot express it,
    and ImportError where one of NEEDED is missing.
    """
    import onnx

    try:
        with _silent():
            model = _exported(network, image_shape)
        _without_notes(model)
        _gathered_by_products(model)
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # whatever the exporter raises on what it does not know
        raise SpecDNNError(f"no ONNX file can be made of this network: {first_line(error)}") from None
    content: bytes = model.SerializeToString()
    return content


def _exported(network: nn.Module, image_shape: tuple[int, ...]) -> Model:
    example = torch.zeros(2, *image_shape)  # with one image torch would take their number for a constant
    program = torch.onnx.export(
        network,
        (example,),
        dynamo=True,
        input_names=[IMAGE],
        output_names=[PROBABILITIES],
        dynamic_shapes=({0: torch.export.Dim(BATCH)},),
        verbose=False,
    )
    assert program is not None  # it is None of the exporter's older ways only
    return program.model_proto


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """The exporter tells of its steps."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _without_notes(model: Model) -> None:
    """Names of source files and lines, shapes in between: three quarters of the file of a small network."""
    for node in model.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for holder in (model, model.graph):
        holder.ClearField("metadata_props")
    for described in (*model.graph.input, *model.graph.output):
        described.ClearField("metadata_props")
    model.graph.ClearField("value_info")


# ------------------------------------------------------------------------------------------ gathering


def _gathered_by_products(model: Model) -> None:
    """Gather of columns, then Gemm -> Gemm of all columns, with rows of 0 where nothing was gathered.

    The file keeps the small matrix: the large one is put together from it when the file is loaded.
    """
    constants, columns = {one.name: one for one in model.graph.initializer}, _columns(model)
    for gather in [node for node in model.graph.node if node.op_type == "Gather"]:
        readers = [node for node in model.graph.node if gather.output[0] in node.input]
        if len(readers) == 1 and _pays(constants, columns.get(gather.input[0], 0), gather, readers[0]):
            _exchange(model, constants, columns[gather.input[0]], gather, readers[0])


def _columns(model: Model) -> dict[str, int]:
    """Name -> columns of every matrix whose number of columns is known."""
    import onnx

    seen = onnx.shape_inference.infer_shapes(model).graph
    shapes = {one.name: one.type.tensor_type.shape.dim for one in seen.value_info}
    return {name: shape[1].dim_value for name, shape in shapes.items() if len(shape) == 2}


def _pays(constants: dict[str, Any], columns: int, gather: Any, gemm: Any) -> bool:
    """Whether a Gemm of all columns is faster; its matrix is (outputs, gathered columns)."""
    own = {a.name: a.i for a in (*gather.attribute, *gemm.attribute) if a.type == a.INT}
    fits = {"axis": 0, "transA": 0, "transB": 0} | own == {"axis": 1, "transA": 0, "transB": 1}
    if gemm.op_type != "Gemm" or not fits or gemm.input[0] != gather.output[0] or not columns:
        return False
    if gemm.input[1] not in constants or gather.input[1] not in constants:
        return False
    outputs, gathered = constants[gemm.input[1]].dims
    return bool(columns * -(-outputs // 16) * 16 <= DEAR * gathered)  # products are made for 16 outputs at a time


def _exchange(model: Model, constants: dict[str, Any], columns: int, gather: Any, gemm: Any) -> None:
    """Put the matrix of all columns in the place of gather and matrix."""
    from onnx import helper, numpy_helper

    index, weight = (numpy_helper.to_array(constants[name]) for name in (gather.input[1], gemm.input[1]))
    shape, rows = f"{gemm.name}_shape", f"{gemm.name}_rows"
    size = torch.tensor([columns, len(weight)]).numpy()
    nodes = model.graph.node
    place = list(nodes).index(gather)
    for name, value in ((shape, size), (rows, index.reshape(-1, 1)), (gemm.input[1], weight.T.copy())):
        _set_constant(model, numpy_helper.from_array(value, name))
    made = (
        helper.make_node("ConstantOfShape", [shape], [f"{shape}_zeros"], shape),
        helper.make_node("ScatterND", [f"{shape}_zeros", rows, gemm.input[1]], [f"{rows}_all"], rows),
        helper.make_node("Gemm", [gather.input[0], f"{rows}_all", *gemm.input[2:]], list(gemm.output), gemm.name),
    )
    nodes.remove(gather)
    nodes.remove(gemm)
    for offset, node in enumerate(made):
        nodes.insert(place + offset, node)
    _remove_unused(model)


def _set_constant(model: Model, constant: Any) -> None:
    for one in model.graph.initializer:
        if one.name == constant.name:
            one.CopyFrom(constant)
            return
    model.graph.initializer.append(constant)


def _remove_unused(model: Model) -> None:
    read = {name for node in model.graph.node for name in node.input}
    for one in [one for one in model.graph.initializer if one.name not in read]:
        model.graph.initializer.remove(one)
