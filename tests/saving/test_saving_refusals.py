"""Foreign, damaged and malicious files: a clear error each, no code, little memory, and never another object."""

import hashlib
import io
import json
import os
import pickle
import random
import sys
import tracemalloc
from copy import deepcopy

import numpy as np
import pytest

import neural_kernels as nk
from neural_kernels.saving.container import Container
from neural_kernels.saving.field_types import require_fields
from saved_samples import ACTIVATIONS, KERNELS, LAYERS, METHODS, SOLVERS

_RNG = np.random.default_rng(0)
_X = _RNG.normal(size=(40, 3))
_LABELS = np.array(["a", "bc"])[(_X[:, 0] > 0).astype(int)]
_FORBIDDEN = ("exec", "compile", "import", "os.system", "subprocess.Popen", "pickle.find_class", "ctypes.dlopen")
_heard: list[str] | None = None  # what Python reports of running code, while somebody listens


def _hear(event, arguments):
    if _heard is not None and event in _FORBIDDEN and not _by_type_checks(sys._getframe(1)):
        _heard.append(f"{event} {arguments}")


def _by_type_checks(frame):
    """Whether what words the complaints of type checks, which there are in these tests alone, runs the code."""
    while frame is not None and frame.f_code is not nk.load.__code__:
        if frame.f_globals.get("__name__", "").startswith(("jaxtyping", "beartype")):
            return True
        frame = frame.f_back
    return False


sys.addaudithook(_hear)


def _models():
    yield [*LAYERS, *ACTIVATIONS, *KERNELS, *METHODS, *SOLVERS]
    yield nk.NeuralKernelRegressor().fit(_X, _X[:, 0])
    yield nk.NeuralFeatureClassifier(n_components=32, random_state=np.random.RandomState(0)).fit(_X, _LABELS)
    yield nk.feature_map(nk.mlp(1), n_components=32, method=nk.RandomFeatures()).fit(_X)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Good files, as bytes and as what they hold; all that reading them needs is loaded, and annotations evaluated."""
    path = tmp_path_factory.mktemp("good") / "file"
    contents = []
    for model in _models():
        nk.save(model, path)
        nk.load(path)
        contents.append((path.read_bytes(), Container.read(path)))
    return contents


def _sealed(description, arrays):
    """A file with the right hash, as its author can make one."""
    file = io.BytesIO()
    Container(description if isinstance(description, str) else json.dumps(description), arrays).write(file)
    return file.getvalue()


def _sealed_table(table, data=b"", text="{}", **about):
    digest = hashlib.sha256(json.dumps([text, list(table.items())], sort_keys=True).encode() + data).hexdigest()
    metadata = {"format": "neural_kernels", "version": "1", "sha256": digest, "description": text} | about
    header = json.dumps({"__metadata__": metadata, **table}).encode()
    return len(header).to_bytes(8, "little") + header + data


_WRONG = [
    None,
    True,
    -1,
    2**80,
    1e308,
    float("nan"),
    "",
    "os.system",
    [],
    {},
    {"object": 10**6},
    {"function": "os.system"},
]
_WRONG += [
    {"named": "x"},
    {"array": "0"},
    {"tensor": {"array": "0"}},
    {"labels": [[2**62, 0], []]},
    {"dtype": "V4000000000"},
]
_WRONG += [
    {"text": [[2**40], "0"]},
    {"tuple": 3},
    {"csr": [False, [2**40, 2**40], [], [], []]},
    {"object": 0, "tuple": []},
]


def _nodes(value):
    """Every place of a description where something stands, as its holder and key."""
    for key, item in list(value.items()) if isinstance(value, dict) else list(enumerate(value)):
        yield value, key
        if isinstance(item, dict | list):
            yield from _nodes(item)


def _damaged(rng, content, held):
    """A file that differs from a good one; and whether it may be one of an object none the less."""
    kind, content = rng.randrange(6), bytearray(content)
    if kind == 0:
        return content[: rng.randrange(len(content))], False
    if kind == 1:
        for _ in range(rng.randrange(1, 4)):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        return content, False
    if kind == 2:
        at, some = rng.randrange(len(content)), rng.randbytes(rng.randrange(1, 20))
        return content[:at] + some + content[at + rng.randrange(20) :], False
    if kind == 3:
        content[:8] = rng.choice([rng.randbytes(8), rng.randrange(2 * len(content)).to_bytes(8, "little")])
        return content, False
    description, arrays = json.loads(held.text), dict(held.arrays)
    for _ in range(rng.randrange(1, 3)):
        holder, key = rng.choice(list(_nodes(description)))
        holder[key] = deepcopy(rng.choice(_WRONG))
    if arrays and rng.random() < 0.3:
        name = rng.choice(list(arrays))
        flat = arrays[name].reshape(-1)
        arrays[name] = rng.choice([flat, flat[:0], flat[:-1], arrays[name].astype(np.float32)])
    return _sealed(description, arrays), True


def _try(path, content):
    """Load bytes; return the object or the error, and the most memory that Python and NumPy took."""
    global _heard
    path.write_bytes(content)
    tracemalloc.start()
    _heard = []
    try:
        result = nk.load(path)
    except nk.LoadError as error:
        result = error
    finally:
        heard, _heard = _heard, None
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert heard == []
    assert peak < 2**21 + 30 * len(content)
    return result


def _fuzz(files, path, seeds):
    outcomes = []
    for seed in seeds:
        rng = random.Random(seed)
        good, held = rng.choice(files)
        content, sealed = _damaged(rng, good, held)
        if bytes(content) == good:
            continue
        result = _try(path, bytes(content))
        assert sealed or isinstance(result, nk.LoadError), f"seed {seed}: a damaged file was read"
        if isinstance(result, nk.LoadError):
            assert str(path) in str(result)
            assert len(str(result)) < 2000
        outcomes.append(type(result) is nk.LoadError)
    assert np.mean(outcomes) > 0.7


@pytest.mark.filterwarnings("ignore")
def test_damaged_and_malicious_files_are_refused(files, tmp_path):
    _fuzz(files, tmp_path / "file", range(300))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_ten_thousand_damaged_and_malicious_files_are_refused(files, tmp_path):
    _fuzz(files, tmp_path / "file", range(10_000, 20_000))


def test_every_truncation_and_flip_of_a_small_file_is_refused(tmp_path):
    path = tmp_path / "file"
    nk.save([nk.ReLU(), np.arange(3)], path)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(nk.LoadError):
            nk.load(path)
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :])
        try:
            again = nk.load(path)
        except nk.LoadError:
            continue
        assert again[0] == nk.ReLU(), "a blank behind the header may change, and nothing else"
        assert again[1].tolist() == [0, 1, 2]


_NET = [["ReLU", {}], ["Dense", {"weight_var": 1.0, "bias_var": 0.0}]]


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([["os.system", {}]], "os.system"),
        ([["Sequential", {"layers": {"tuple": []}}]], "at least one layer"),
        ([["Sequential", {"layers": [1, 2]}]], "layers of type list"),
        ([["Dense", {"weight_var": "1"}]], "weight_var of type str"),
        ([["Dense", {"weight_var": -1.0}]], "weight_var"),
        ([["Dense", {"__class__": 1}]], "this version of neural_kernels has"),
        ([["Dense", {}], ["NTK", {"net": {"object": 1}}]], "not before it"),
        ([["Dense", {}], ["NTK", {}]], "this version of neural_kernels has"),
        ([["Elementwise", {"function": {"function": "os.system"}, "places": {"tuple": []}}]], "os.system"),
        ([["Elementwise", {"function": {"object": 0}, "places": {"tuple": []}}]], "not before it"),
        ([["CholeskyRidge", {"solve": 1}]], "in place of its own"),
        ([["Moments", {"update": 1}]], "does not describe|Moments"),
        ([["CholeskyRidge", {"__dict__": {"dict": []}}]], "in place of its own"),
        ([["NeuralKernelRegressor", {"network": None}]], "without"),
        ([["FeatureMap", {"attributes": {"dict": [["forward", 1]]}}]], "FeatureMap"),
        ([["Sequential", {"layers": {"tuple": [{"object": 0}]}}]], "not before it"),
        ([["Dense", {}, 3]], "does not describe"),
        ("ReLU", "does not describe"),
        (None, "does not describe"),
    ],
)
def test_malicious_descriptions_are_refused(records, message, tmp_path):
    (tmp_path / "file").write_bytes(_sealed({"objects": records, "root": {"object": 0}}, {}))
    with pytest.raises(nk.LoadError, match=message):
        nk.load(tmp_path / "file")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        pickle.dumps(os.system),
        (2**63).to_bytes(8, "little") + b"{}",
        (10).to_bytes(8, "little") + b"[" * 10,
        (10**5).to_bytes(8, "little") + b"[" * 10**5,
        (2).to_bytes(8, "little") + b"{}",
        _sealed_table({}, version="2"),
        _sealed_table({}, version=1),
        _sealed_table({}, format="pt"),
        _sealed_table({}, sha256="0" * 64),
        _sealed_table({}),
        _sealed_table({}, b"rest"),
        _sealed_table({}, text="[" * 10**5),
        _sealed_table({"a": {"dtype": "F64", "shape": [2**40], "data_offsets": [0, 2**43]}}),
        _sealed_table({"a": {"dtype": "F64", "shape": [2**61, 2**61], "data_offsets": [0, 0]}}),
        _sealed_table({"a": {"dtype": "F64", "shape": [0, 2**61, 2**61], "data_offsets": [0, 0]}}),
        _sealed_table({"a": {"dtype": "F64", "shape": [1], "data_offsets": [0, 16]}}, bytes(16)),
        _sealed_table({"a": {"dtype": "F64", "shape": [-1], "data_offsets": [0, -8]}}),
        _sealed_table({"a": {"dtype": "O", "shape": [1], "data_offsets": [0, 8]}}, bytes(8)),
        _sealed_table({"a": {"dtype": "F64", "shape": [True], "data_offsets": [0, 8]}}, bytes(8)),
        _sealed_table({"a": {"dtype": "F64", "shape": [1], "data_offsets": [0.0, 8.0]}}, bytes(8)),
        _sealed_table({"a": 3}),
    ],
    ids=range(23),
)
def test_foreign_and_malicious_headers_are_refused(content, tmp_path):
    assert isinstance(_try(tmp_path / "file", content), nk.LoadError)


def test_newer_formats_are_refused_by_name(tmp_path):
    (tmp_path / "file").write_bytes(_sealed_table({}, version="7"))
    with pytest.raises(nk.LoadError, match=r"a file of format '7': this version of neural_kernels reads formats 1 to"):
        nk.load(tmp_path / "file")
    with pytest.raises(FileNotFoundError):
        nk.load(tmp_path / "none")


def test_fields_may_be_added_to_a_class_and_not_taken_away():
    require_fields(nk.Dense, {"weight_var": 1.0})  # the others have defaults: an older file lacks what is new
    with pytest.raises(nk.LoadError, match="newer"):
        require_fields(nk.Dense, {"newer": 1.0})


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "file"
    nk.save(nk.ReLU(), path)
    with pytest.raises(nk.SaveError):
        nk.save([nk.ReLU(), object()], path)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        nk.save(nk.Erf(), path)
    assert nk.load(path) == nk.ReLU()
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
