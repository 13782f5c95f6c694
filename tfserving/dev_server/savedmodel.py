"""A SavedModel in a session of its own, brought up as TensorFlow Serving does: import, restore, initialise.

Uses the graph's own restore and initialisation operations, as the C++ loader does, and none of the Python API's, whose
registries are only complete after the import of all of TensorFlow.
"""

from itertools import chain
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from google.protobuf.message import DecodeError
from tensorflow.python.client.session import Session
from tensorflow.python.framework.errors_impl import OpError
from tensorflow.python.framework.importer import import_graph_def
from tensorflow.python.framework.ops import Graph

from tfserving.dev_server.errors import CODES, Refused
from tfserving.dev_server.messages import CallableOptions, ConfigProto, SavedModel

TAG = "serve"
_INITIALISER = "__saved_model_init_op"

# One thread each: a call runs in the thread that brought it, many calls at once use the cores. Handing a small network's
# operations to other threads took longer than the operations (0.15 ms against 0.6 ms for a batch of one).
_SESSION = ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
_CALLER_THREAD = -1


def open_session(path: Path) -> tuple[Session, Any]:
    """The session with its weights in place, and the MetaGraphDef that it was made of.

    Raises:
        Refused: with the code that TensorFlow gave, for GetModelStatus.
    """
    meta_graph = _read(path)
    graph = Graph()
    session = Session(graph=graph, config=_SESSION)
    try:
        with graph.as_default():
            import_graph_def(meta_graph.graph_def, name="")
        _restore(session, meta_graph, path)
        _initialise(session, meta_graph, path)
    except OpError as error:
        session.close()
        raise from_tensorflow(error) from error
    except Exception as error:
        session.close()
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"{type(error).__name__}: {error}") from error
    return session, meta_graph


def make_callable(session: Session, *, feed: list[str], fetch: list[str], target: list[str] | None = None) -> Any:
    """A function of arrays, in the order of `feed`, to a list of arrays; checks no shapes. Raises OpError."""
    options = CallableOptions(feed=feed, fetch=fetch, target=target or [])
    options.run_options.inter_op_thread_pool = _CALLER_THREAD
    return session._make_callable_from_options(options)


def has_convolutions(meta_graph: Any) -> bool:
    """Whether the graph or one of its functions convolves."""
    graph = meta_graph.graph_def
    nodes = chain(graph.node, *(function.node_def for function in graph.library.function))
    return any("Conv2D" in node.op for node in nodes)


def from_tensorflow(error: OpError) -> Refused:
    """TensorFlow's error as what a caller is told."""
    return Refused(CODES.get(error.error_code, grpc.StatusCode.UNKNOWN), error.message)


def _read(path: Path) -> Any:
    try:
        saved_model = SavedModel.FromString((path / "saved_model.pb").read_bytes())
    except OSError as error:
        text = f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {path}"
        raise Refused(grpc.StatusCode.NOT_FOUND, text) from error
    except DecodeError as error:
        raise Refused(grpc.StatusCode.DATA_LOSS, f"Can't parse {path / 'saved_model.pb'} as binary proto") from error
    for meta_graph in saved_model.meta_graphs:
        if set(meta_graph.meta_info_def.tags) == {TAG}:
            return meta_graph
    raise Refused(grpc.StatusCode.NOT_FOUND, f"Could not find meta graph def matching supplied tags: {{ {TAG} }}")


def _restore(session: Session, meta_graph: Any, path: Path) -> None:
    if not (path / "variables" / "variables.index").exists():
        return  # a model without variables
    saver, assets = meta_graph.saver_def, _assets(meta_graph, path)
    feed = [saver.filename_tensor_name, *assets]
    restore = make_callable(session, feed=feed, fetch=[], target=[saver.restore_op_name])
    restore(_text(path / "variables" / "variables"), *assets.values())


def _initialise(session: Session, meta_graph: Any, path: Path) -> None:
    if _INITIALISER not in meta_graph.signature_def:
        return
    assets = _assets(meta_graph, path)
    operation = meta_graph.signature_def[_INITIALISER].outputs[_INITIALISER].name
    make_callable(session, feed=list(assets), fetch=[], target=[operation])(*assets.values())


def _assets(meta_graph: Any, path: Path) -> dict[str, Any]:
    """Tensor name → the file's path, for each asset."""
    return {asset.tensor_info.name: _text(path / "assets" / asset.filename) for asset in meta_graph.asset_file_def}


def _text(path: Path) -> Any:
    return np.array(str(path).encode(), dtype=object)
