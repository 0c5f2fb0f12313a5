"""Cut a network in two: the frozen prefix, which need run only once, and the rest, which is trained.

A value belongs to the prefix when nothing trainable and nothing random was used to compute it. The two halves are
graphs over the model's own modules: training the rest trains the model.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torchvision
from torch import Tensor, fx, nn
from torchvision.ops import StochasticDepth

WHOLE = (StochasticDepth,)
"""Modules that stay one node. If they were traced, their present training mode would be fixed in the graph."""
RANDOM = (nn.Dropout, StochasticDepth)

Shapes = dict[fx.Node, tuple[int, ...] | None]
Form = tuple[object, ...]
"""A network's modules, with their settings and modes."""


@dataclass(frozen=True)
class Cut:
    """`prefix` maps images (B, 3, H, W) to tensors with B first; `rest` maps those to logits (B, classes)."""

    prefix: fx.GraphModule
    rest: fx.GraphModule


@dataclass(frozen=True)
class Traced:
    """A network's graph and, for a batch of two pictures, the shapes of all its values that are tensors."""

    graph: fx.Graph
    shapes: Shapes


REMEMBERED = 4
"""Graphs that a process keeps: a worker meets the same network in run after run, and tracing takes as long as epochs of
a head."""
_traced: dict[Form, Traced] = {}


class Tracer(fx.Tracer):
    """torch.fx's own tracer; what is WHOLE, and each call of a function that needs real numbers, stays one node."""

    def __init__(self) -> None:
        super().__init__(autowrap_modules=(math, torchvision.ops))  # type: ignore[arg-type]

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether `m` becomes one node."""
        return isinstance(m, WHOLE) or super().is_leaf_module(m, module_qualified_name)


def cut(model: nn.Module, image_size: int) -> Cut | None:
    """The largest frozen prefix of `model`, and the rest; None when training begins at the first layer.

    The place of the cut does not depend on `image_size` in pixels. The model must allow that size; small ones are
    faster. The model must already be frozen, and in the training mode in which it will be trained
    (`core.backbones.build`): an active dropout ends the prefix, and so does a trainable layer.
    """
    traced = trace(model, image_size)
    frontier = _narrowed(model, traced)
    if any(node.op == "placeholder" for node in frontier):
        return None
    before = _upto(model, traced.graph, frontier)
    if next(before.parameters(), None) is None:
        return None
    return Cut(before, _after(model, traced.graph, frontier))


def trace(model: nn.Module, image_size: int) -> Traced:
    """The graph of `model` for pictures of `image_size` pixels. Read only: networks of the same form share it."""
    form = form_of(model, image_size)
    if form not in _traced:
        graph = Tracer().trace(model)
        if len(_traced) == REMEMBERED:
            del _traced[next(iter(_traced))]
        _traced[form] = Traced(graph, _shapes(model, graph, image_size))
    return _traced[form]


def form_of(model: nn.Module, image_size: int) -> Form:
    """All that decides what a network computes, but for its weights."""
    return image_size, *((path, type(part), part.training, part.extra_repr()) for path, part in model.named_modules())


def features_at_cut(model: nn.Module, traced: Traced) -> int:
    """How many numbers the prefix would keep of each picture."""
    shapes = [traced.shapes[node] or () for node in _narrowed(model, traced)]
    return sum(math.prod(shape[1:]) for shape in shapes)


def _narrowed(model: nn.Module, traced: Traced) -> list[fx.Node]:
    """The frontier of the largest prefix of which every tensor has a row for each picture."""
    graph, shapes = traced.graph, traced.shapes
    prefix = _frozen(model, graph)
    while unfit := {node for node in _frontier(graph, prefix, shapes) if not _is_batch(shapes[node])}:
        prefix = _without(prefix, unfit)
    return _frontier(graph, prefix, shapes)


def _shapes(model: nn.Module, graph: fx.Graph, image_size: int) -> Shapes:
    """For a batch of two images, the shape of each node's result; None where it is no tensor, but a size, say."""
    found: Shapes = {}

    class Recorder(fx.Interpreter):
        def run_node(self, node: fx.Node) -> object:
            value = super().run_node(node)
            found[node] = tuple(value.shape) if isinstance(value, Tensor) else None
            return value

    device = next(model.parameters()).device

    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    with torch.inference_mode():
        Recorder(model, graph=graph).run(torch.zeros(2, 3, image_size, image_size, device=device))
    for module, mode in modes:
        module.training = mode
    return found


def _is_batch(shape: tuple[int, ...] | None) -> bool:
    return shape is not None and shape[:1] == (2,)


def _frozen(model: nn.Module, graph: fx.Graph) -> set[fx.Node]:
    """The nodes that are computed without anything trainable or random. The images are among them."""
    frozen: set[fx.Node] = set()
    for node in graph.nodes:
        if node.op != "output" and all(source in frozen for source in node.all_input_nodes) and _is_still(model, node):
            frozen.add(node)
    return frozen


def _is_still(model: nn.Module, node: fx.Node) -> bool:
    """Whether the node itself has nothing to learn and nothing random in it."""
    if node.op == "call_module":
        module = model.get_submodule(str(node.target))
        learns = any(parameter.requires_grad for parameter in module.parameters())
        return not learns and not any(part.training and isinstance(part, RANDOM) for part in module.modules())
    if node.op == "get_attr":
        owner, _, name = str(node.target).rpartition(".")
        value = getattr(model.get_submodule(owner), name)
        return not (isinstance(value, nn.Parameter) and value.requires_grad)
    return True


def _depends_on_images(graph: fx.Graph) -> set[fx.Node]:
    found: set[fx.Node] = set()
    for node in graph.nodes:
        if node.op == "placeholder" or any(source in found for source in node.all_input_nodes):
            found.add(node)
    return found


def _frontier(graph: fx.Graph, prefix: set[fx.Node], shapes: Shapes) -> list[fx.Node]:
    """The tensors of the prefix that the rest reads, in the graph's order.

    Sizes, and values computed from parameters alone, are not among them: the rest computes those again.
    """
    images = _depends_on_images(graph)
    frontier: set[fx.Node] = set()
    seen: set[fx.Node] = set()
    wanted = [source for node in graph.nodes if node not in prefix for source in node.all_input_nodes]
    while wanted:
        node = wanted.pop()
        if node in seen or node not in prefix or node not in images:
            continue
        seen.add(node)
        if shapes[node] is not None:
            frontier.add(node)
        else:
            wanted += node.all_input_nodes
    return [node for node in graph.nodes if node in frontier]


def _without(prefix: set[fx.Node], nodes: Iterable[fx.Node]) -> set[fx.Node]:
    """The prefix without `nodes` and without all that is computed from them."""
    dropped = set(nodes)
    waiting = list(dropped)
    while waiting:
        for user in waiting.pop().users:
            if user in prefix and user not in dropped:
                dropped.add(user)
                waiting.append(user)
    return prefix - dropped


def _upto(model: nn.Module, graph: fx.Graph, frontier: list[fx.Node]) -> fx.GraphModule:
    """From the images to the frontier."""
    needed = _ancestors(frontier)
    half = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        if node in needed:
            copies[node] = half.node_copy(node, copies.__getitem__)
    half.output(tuple(copies[node] for node in frontier))
    return fx.GraphModule(model, half)


def _after(model: nn.Module, graph: fx.Graph, frontier: list[fx.Node]) -> fx.GraphModule:
    """From the frontier to the logits."""
    output = next(node for node in graph.nodes if node.op == "output")
    needed = _ancestors([output], stop=set(frontier))
    half = fx.Graph()
    copies = {node: half.placeholder(f"feature_{number}") for number, node in enumerate(frontier)}
    for node in graph.nodes:
        if node in needed and node not in copies:
            copies[node] = half.node_copy(node, copies.__getitem__)
    return fx.GraphModule(model, half)


def _ancestors(nodes: Iterable[fx.Node], stop: set[fx.Node] | None = None) -> set[fx.Node]:
    """`nodes` and all that they are computed from, but nothing before a node of `stop`."""
    found: set[fx.Node] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            if node not in (stop or ()):
                waiting += node.all_input_nodes
    return found
