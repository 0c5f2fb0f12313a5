"""The optimizers that a recipe can have: what each can be told, its defaults, and what people read of it.

No torch here: `core.training.optimizer` has a row for each, which builds torch's optimizer from these settings.
"""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from core.recipe_fields import About, Count, Number, Row, Switch, TableOf

LearningRate = Annotated[
    Number, Field(gt=0), About("Learning rate", "How far each step goes. Too high diverges, too low learns nothing.")
]


class Optimizer(Row):
    """What all optimizers have. Each is a subclass in OPTIMIZERS; `core.training.optimizer` builds torch's.

    Its learning rate has a default of its own.
    """

    lr: LearningRate


Betas = Annotated[
    tuple[
        Annotated[
            Number,
            Field(ge=0, lt=1),
            About("beta 1", "How long gradients are remembered, from 0 up to 1.", step=0.01),
        ],
        Annotated[
            Number,
            Field(ge=0, lt=1),
            About("beta 2", "How long squared gradients are remembered, from 0 up to 1.", step=0.001),
        ],
    ],
    About("beta 1 and beta 2", "How long gradients and squared gradients are remembered.", advanced=True),
]
Epsilon = Annotated[
    Number,
    Field(gt=0),
    About("eps", "A small number that keeps the division by squared gradients finite.", step=1e-8, advanced=True),
]


class Adam(Optimizer):
    """Adam (arXiv:1412.6980) with the paper's defaults."""

    label = "Adam"
    help = "Adam adapts the step of every weight."
    name: Literal["adam"] = "adam"
    lr: LearningRate = 1e-3
    betas: Betas = (0.9, 0.999)
    eps: Epsilon = 1e-8


class Sgd(Optimizer):
    """Stochastic gradient descent with momentum, or with Nesterov's where `nesterov`. Its rate is ten times Adam's."""

    label = "SGD"
    help = "SGD takes the same step for all, with momentum."
    name: Literal["sgd"] = "sgd"
    lr: LearningRate = 1e-2
    momentum: Annotated[
        Number,
        Field(ge=0, lt=1),
        About("Momentum", "Share of the last step that is added to the next, from 0 up to 1.", step=0.05),
    ] = 0.9
    nesterov: Annotated[
        Switch,
        About(
            "Nesterov",
            "Look ahead along the momentum before taking the gradient.",
            expected="must be true or false, and true only with a momentum above 0",
        ),
    ] = False

    @field_validator("nesterov")
    @classmethod
    def _needs_momentum(cls, nesterov: bool, info: ValidationInfo) -> bool:
        if nesterov and info.data.get("momentum") == 0:
            raise ValueError("Nesterov's momentum needs a momentum above 0")
        return nesterov


class AdamW(Optimizer):
    """Adam with decoupled weight decay (arXiv:1711.05101), with torch's defaults."""

    label = "AdamW"
    help = "AdamW is Adam with a weight decay apart from the gradient."
    name: Literal["adamw"] = "adamw"
    lr: LearningRate = 1e-3
    weight_decay: Annotated[
        Number,
        Field(ge=0),
        About(
            "Weight decay",
            "Share of every trainable weight, biases too, that each step takes off, times the learning rate. L1 and L2 "
            "penalties are terms of the loss, and another thing.",
            step=0.01,
        ),
    ] = 1e-2
    betas: Betas = (0.9, 0.999)
    eps: Epsilon = 1e-8


class Lbfgs(Optimizer):
    """L-BFGS (Liu and Nocedal, 1989) over all pictures at once, for a head on kept features: the exact optimum."""

    label = "L-BFGS"
    help = "L-BFGS walks straight to the optimum of a head over all pictures at once."
    name: Literal["lbfgs"] = "lbfgs"
    lr: LearningRate = 1.0
    max_iter: Annotated[
        Count, Field(ge=1, le=1000), About("Iterations", "Steps of its own in each epoch.", advanced=True)
    ] = 20
    history_size: Annotated[
        Count, Field(ge=1, le=100), About("Memory", "Earlier gradients that shape a step.", advanced=True)
    ] = 10


OPTIMIZERS: dict[str, type[Optimizer]] = {
    model.model_fields["name"].default: model for model in (Adam, Sgd, AdamW, Lbfgs)
}
"""All optimizers by the name that recipes have for them. A new one is a class above, a name here, and a row in
`core.training.optimizer`."""
OPTIMIZER = TableOf("optimizer", About("Optimizer", "How a step is made of gradients."), "adam", OPTIMIZERS)
ChosenOptimizer = Annotated[Optimizer, OPTIMIZER]
"""The field of a recipe that takes the settings of any optimizer."""
