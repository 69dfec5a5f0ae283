"""Other people's checkpoints: what a loaded file holds, as a plain state_dict, and in words what was understood.

Pure functions of the file's content; ValueError, one sentence, where it has no clear meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch

State: TypeAlias = dict[str, torch.Tensor]
STATES = ("state_dict", "model_state_dict", "model", "net")  # where a state_dict lies, if it is not the file itself
DEEPEST = 4  # a dictionary may hold itself
LONGEST = 100  # characters of a name in a sentence
PREFIXES = ("module.", "_orig_mod.", "model.")  # DataParallel, torch.compile, Lightning
ACCURACIES = ("acc", "best_acc", "best_acc1", "best_prec1", "accuracy", "best_accuracy")
NORMALISATIONS = ("normalisation", "normalization")
COUNTER = "num_batches_tracked"  # of BatchNorm; checkpoints of old versions of torch lack it
REPEATED = 10_000_000  # a tensor of more numbers than the file holds is one number repeated; beyond this it is a bomb


# ------------------------------------------------------------------------------------------ numpy's numbers


class Kind:
    """Stands for numpy.dtype in a file: a damaged one makes numpy itself write where it must not."""

    def __init__(self, code: str, *_: Any) -> None:
        self.dtype: np.dtype[Any] = np.dtype(code if code[:1] in tuple("biuf") else None)  # None: of numbers only
        if self.dtype.str[1:] != code:
            raise ValueError(f"it holds a numpy array of {printable(code)}, not of numbers")

    def __setstate__(self, state: Any) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class Array:
    """Stands for numpy.ndarray in a file; `numbers` are its own."""

    def __init__(self, *_: Any) -> None:
        self.numbers: np.ndarray = np.zeros(0)

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, by_columns, raw = state
        self.numbers = np.frombuffer(raw, kind.dtype).reshape(shape, order="F" if by_columns else "C")


def scalar(kind: Kind, raw: bytes) -> float:
    """Stands for what rebuilds one of numpy's numbers."""
    number: float = np.frombuffer(raw, kind.dtype).item()
    return number


def numpy_globals() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """What may be rebuilt beside torch's own types, instead of numpy's (Python object, name in the file)."""
    rebuilt: list[tuple[Callable[..., Any], str]] = [
        (Array, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")
    ]
    rebuilt += [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    return [(Kind, "numpy.dtype"), (Array, "numpy.ndarray"), *rebuilt]


# ------------------------------------------------------------------------------------------ weights


def understood_state(content: Any, known: Collection[set[str]] = ()) -> tuple[State, tuple[str, ...]]:
    """The state_dict of a file as dense tensors, the floats in single precision, and sentences on what was changed.

    `known`: the names in a network, of several networks; where one is met, no prefix is taken off.
    """
    state, found = _state_in(content)
    state = {str(name): dense(name, value) for name, value in state.items()}
    sentences = [found]
    for step in (_unpruned, lambda s: _unprefixed(s, known), _single_precision):
        state, told = step(state)
        sentences.append(told)
    return state, tuple(filter(None, sentences))


def is_state(content: Mapping[Any, Any]) -> bool:
    """Whether a dictionary is a state_dict, nothing beside it."""
    return bool(content) and all(isinstance(value, (torch.Tensor, Array)) for value in content.values())


def _state_in(content: Any) -> tuple[Mapping[Any, Any], str]:
    keys: list[str] = []
    while isinstance(content, Mapping) and not is_state(content) and len(keys) < DEEPEST:
        key = next((key for key in STATES if isinstance(content.get(key), Mapping)), None)
        if key is None:
            break
        keys.append(key)
        content = content[key]
    if not isinstance(content, Mapping) or not (keys or is_state(content)):
        found = few(content) if isinstance(content, Mapping) else f"a {type(content).__name__}"
        raise ValueError(f"expected a state_dict, or one under {', '.join(STATES)}; found {found or 'nothing'}")
    if keys == ["state_dict"]:
        return content, ""
    return content, f"the weights are those under {'.'.join(keys)}" if keys else "it is a state_dict, nothing beside it"


def dense(name: Any, value: Any) -> torch.Tensor:
    """A dense tensor of real numbers."""
    if isinstance(value, Array):
        value = torch.as_tensor(np.array(value.numbers, value.numbers.dtype.newbyteorder("="), order="C"))
    if not isinstance(value, torch.Tensor):
        raise ValueError(f"{printable(name)} is a {type(value).__name__}, not a tensor")
    wrong = {
        "has no values, only a shape": value.is_meta,
        "is sparse: save it with to_dense()": value.layout != torch.strided,
        "is quantised: save it with dequantize()": value.is_quantized,
        "holds complex numbers, not real ones": value.is_complex(),
    }
    for what in (what for what, so in wrong.items() if so):
        raise ValueError(f"{printable(name)} {what}")
    stored = value.untyped_storage().nbytes() // value.element_size()
    if value.numel() > max(stored, REPEATED):
        raise ValueError(f"{printable(name)} claims {value.numel():,} numbers, and the file holds {stored:,} of them")
    return value.detach()


def _unpruned(state: State) -> tuple[State, str]:
    """torch.nn.utils.prune keeps `weight_orig` and `weight_mask`; the weight is their product."""
    masked = [n for n in (name.removesuffix("_mask") for name in state) if {f"{n}_orig", f"{n}_mask"} <= set(state)]
    for name in masked:
        whole, mask = state[f"{name}_orig"], state[f"{name}_mask"]
        if whole.shape != mask.shape:
            raise ValueError(f"{printable(name)}_orig is {_shape(whole)}, but its mask {_shape(mask)}")
    product = {name: state[f"{name}_orig"] * state[f"{name}_mask"] for name in masked}
    used = {f"{name}{ending}" for name in masked for ending in ("_orig", "_mask")}
    rest = {name: value for name, value in state.items() if name not in used}
    return rest | product, f"the masks of torch.nn.utils.prune are applied to {few(masked)}" if masked else ""


def _unprefixed(state: State, known: Collection[set[str]]) -> tuple[State, str]:
    """Without what wrappers put before every name."""
    gone = ""
    while not any(set(state) & names for names in known) and (prefix := _shared_prefix(state)):
        state, gone = {name.removeprefix(prefix): value for name, value in state.items()}, gone + prefix
    return state, f"{gone} is taken off every name" if gone else ""


def _shared_prefix(state: State) -> str:
    return next((prefix for prefix in PREFIXES if state and all(name.startswith(prefix) for name in state)), "")


def _single_precision(state: State) -> tuple[State, str]:
    other = {str(v.dtype).removeprefix("torch.") for v in state.values() if v.is_floating_point()} - {"float32"}
    state = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    return state, f"its {' and '.join(sorted(other))} numbers are read as float32" if other else ""


def completed(state: State, expected: State) -> State:
    """With the counters of BatchNorm that old checkpoints lack."""
    counters = {name: value for name, value in expected.items() if name.endswith(f".{COUNTER}")}
    return {n: v for n, v in counters.items() if n.replace(COUNTER, "running_mean") in state} | state


def differences(state: State, expected: State) -> str:
    """In words what keeps a state_dict from being loaded into a network that has `expected`; empty if nothing does."""
    told = {
        "missing: ": few(name for name in expected if name not in state),
        "surplus: ": few(name for name in state if name not in expected),
        "": few(filter(None, (_unlike(name, state[name], expected[name]) for name in expected if name in state))),
    }
    return "; ".join(word + names for word, names in told.items() if names)


def _unlike(name: str, value: torch.Tensor, wanted: torch.Tensor) -> str:
    if value.shape != wanted.shape:
        return f"{name} is {_shape(value)} instead of {_shape(wanted)}"
    if value.is_floating_point() != wanted.is_floating_point():
        return f"{name} holds {value.dtype} numbers instead of {wanted.dtype}".replace("torch.", "")
    return ""


def _shape(value: torch.Tensor) -> str:
    return "x".join(map(str, value.shape)) or "a single number"


def few(names: Iterable[Any], most: int = 5) -> str:
    """The first few of these names, and how many more there are."""
    all_of_them = [printable(name) for name in names]
    more = f" and {len(all_of_them) - most} more" if len(all_of_them) > most else ""
    return ", ".join(all_of_them[:most]) + more


def printable(name: Any, most: int = LONGEST) -> str:
    """A name from a file, fit to be shown: in one line, without control characters, not endless."""
    name = str(name) if str(name).isprintable() else ascii(name)
    return name if len(name) <= most else f"{name[:most]}..."


# ------------------------------------------------------------------------------------------ what lies beside them


def accuracy_of(beside: Mapping[str, Any]) -> tuple[float | None, str]:
    """The accuracy that a file tells, as a share, and what was understood; None where it tells none."""
    name = next((name for name in ACCURACIES if beside.get(name) is not None), None)
    if name is None:
        return None, ""
    found = _number(beside[name])
    if found is None or not 0 <= found <= 100:
        return None, f"its {name} is no share and is left out"
    share = found if found <= 1 else found / 100
    return share, "" if name == "acc" and share == found else f"its {name} is an accuracy of {100 * share:.6g} %"


def normalisation_of(beside: Mapping[str, Any]) -> list[Any]:
    """[mean, standard deviation] of the pixels that the network was trained with, each a number or a list of one per
    channel, unchecked; empty where none is told.
    """
    found = next((beside[name] for name in NORMALISATIONS if name in beside), None)
    found = beside if found is None and {"mean", "std"} <= set(beside) else found
    if found is None:
        return []
    pair = [found.get(name) for name in ("mean", "std")] if isinstance(found, Mapping) else found
    pair = _listed(pair) if isinstance(pair, (torch.Tensor, Array)) else pair
    return [_number_or_numbers(one) for one in pair] if isinstance(pair, (list, tuple)) and pair else [None]


def _number_or_numbers(value: Any) -> float | list[float | None] | None:
    """A number, or several in a list, an array or a tensor."""
    value = _listed(value) if isinstance(value, (torch.Tensor, Array)) else value
    several = isinstance(value, (list, tuple)) and len(value) > 1
    return [_number(one) for one in value] if several else _number(value)


def _number(value: Any) -> float | None:
    """A number of any kind, also alone in a list, an array or a tensor; None if it is something else."""
    if isinstance(value, (torch.Tensor, Array)):
        value = _listed(value)
    if isinstance(value, (list, tuple)) and len(value) == 1:
        return _number(value[0])
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _listed(value: torch.Tensor | Array) -> Any:
    return (value.numbers if isinstance(value, Array) else value).tolist()
