"""YAML parameters against signatures: what is accepted, and every message."""

import textwrap

import pytest
from pydantic import BaseModel, ValidationError

from backbones.errors import InputError
from backbones.registry import Registry
from ensemble.binding import bind, check_component, problems_of

SOURCE = '''
    @GADGETS.register("gadget")
    class Gadget:
        """A component with a parameter of every kind."""

        def __init__(
            self, given, *, hidden: Sizes, rate: Fraction = 0.1, lr: float = 1.0, kind: Literal["a", "b"] = "a",
            blocks: list[Block] | None = None, pair: tuple[float, float] = (1.0, 2.0), flag: bool = False,
            size: int | Literal["auto"] = "auto", label: str = "x", limit: float | None = None,
            each: list[float] = [1.0],
        ) -> None:
            raise AssertionError("checking builds nothing")
'''


@pytest.fixture
def gadgets(tmp_path, monkeypatch):
    """A registry whose component cannot be imported: its module would fail at once."""
    package = tmp_path / "gadget_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "gadget.py").write_text(textwrap.dedent(SOURCE))
    (package / "plain.py").write_text('@GADGETS.register("plain")\nclass Plain:\n    """No parameters."""\n')
    monkeypatch.syspath_prepend(tmp_path)
    yield Registry("gadget", "gadget_package")
    monkeypatch.delitem(__import__("sys").modules, "gadget_package", raising=False)


def test_defaults_are_filled_in_and_values_converted(gadgets):
    given = {"hidden": [3], "lr": 2, "pair": [".1e1", "2e3"], "limit": "1E-5", "each": ["1e-4", 1], "size": 48}
    assert bind("gadget", given, gadgets, "") == {
        "hidden": [3],
        "rate": 0.1,
        "lr": 2.0,
        "kind": "a",
        "blocks": None,
        "pair": (1.0, 2000.0),
        "flag": False,
        "size": 48,
        "label": "x",
        "limit": 1e-5,
        "each": [1e-4, 1.0],
    }
    assert bind("plain", {}, gadgets, "") == {}


def test_text_that_looks_like_a_number_stays_text_where_text_is_meant(gadgets):
    assert bind("gadget", {"hidden": [1], "label": "1e-4"}, gadgets, "")["label"] == "1e-4"


def test_given_and_default_values_are_never_shared(gadgets):
    given = {"hidden": [3], "blocks": [{"filters": 8, "dropout": "1e-1"}]}
    bound = bind("gadget", given, gadgets, "")
    assert bound["blocks"] == [{"filters": 8, "dropout": 0.1}]
    assert given["blocks"][0]["dropout"] == "1e-1"
    bound["each"].append(2.0)
    assert bind("gadget", given, gadgets, "")["each"] == [1.0]


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"hidden": 3}, "m.hidden: Expected `hidden` to be a list, but got 3."),
        ({"hidden": []}, "m.hidden: Expected `hidden` to be a list of at least 1, but got []."),
        ({"hidden": ["x"]}, "m.hidden[0]: Expected `hidden[0]` to be a whole number, but got 'x'."),
        ({"hidden": [1, True]}, "m.hidden[1]: Expected `hidden[1]` to be a whole number, but got True."),
        ({"hidden": [1.0]}, "m.hidden[0]: Expected `hidden[0]` to be a whole number, but got 1.0."),
        ({"hidden": ["1e2"]}, "m.hidden[0]: Expected `hidden[0]` to be a whole number, but got '1e2'."),
        ({"hidden": [0]}, "m.hidden[0]: Expected `hidden[0]` to be at least 1, but got 0."),
        ({"rate": True}, "m.rate: Expected `rate` to be a number, but got True."),
        ({"rate": 1}, "m.rate: Expected `rate` to be below 1, but got 1."),
        ({"rate": "0.1"}, "m.rate: Expected `rate` to be a number, but got '0.1'."),
        ({"lr": "high"}, "m.lr: Expected `lr` to be a number, but got 'high'."),
        ({"lr": None}, "m.lr: Expected `lr` to be a number, but got None."),
        ({"lr": float("nan")}, "m.lr: Expected `lr` to be a finite number, but got nan."),
        ({"lr": {1}}, "m.lr: Expected `lr` to be float, but got {1}."),
        ({"kind": "c"}, "m.kind: Expected `kind` to be one of 'a' or 'b', but got 'c'."),
        ({"flag": 1}, "m.flag: Expected `flag` to be true or false, but got 1."),
        ({"flag": "yes"}, "m.flag: Expected `flag` to be true or false, but got 'yes'."),
        ({"size": "big"}, "m.size: Expected `size` to be a whole number or 'auto', but got 'big'."),
        ({"label": 3}, "m.label: Expected `label` to be text, but got 3."),
        ({"pair": [1]}, "m.pair: Expected `pair` to be a longer list, but got [1]."),
        ({"pair": [1, 2, 3]}, "m.pair: Expected `pair` to be a list of at most 2, but got [1, 2, 3]."),
        ({"blocks": [3]}, "m.blocks[0]: Expected `blocks[0]` to be a mapping, but got 3."),
        (
            {"blocks": [{"filters": 1, "pool": "maxx"}]},
            "m.blocks[0].pool: Expected `pool` to be one of 'max', 'average', 'fractional', 'stochastic' or 'none', "
            "but got 'maxx'. Did you mean `max`?",
        ),
        (
            {"blocks": [{"filters": 1, "kernell": 3}]},
            "m.blocks[0].kernell: Expected a known key, but got 'kernell'. Did you mean `kernel`?",
        ),
        ({"hiden": [1]}, "m.hiden: Expected a parameter of `gadget`, but got 'hiden'. Did you mean `hidden`?"),
    ],
)
def test_every_mistake_has_its_message_and_place(gadgets, parameters, problem):
    assert check_component("gadget", {"hidden": [1]} | parameters, gadgets, "m") == [problem]


def test_all_mistakes_are_told_at_once(gadgets):
    parameters = {"rate": 2, "lrr": 1, "flag": 0}
    problems = [
        "members[3].head.lrr: Expected a parameter of `gadget`, but got 'lrr'. Did you mean `lr`?",
        "members[3].head.hidden: Expected the parameter `hidden` (Sizes), but it is missing.",
        "members[3].head.rate: Expected `rate` to be below 1, but got 2.",
        "members[3].head.flag: Expected `flag` to be true or false, but got 0.",
    ]
    assert check_component("gadget", parameters, gadgets, "members[3].head") == problems
    with pytest.raises(InputError) as caught:
        bind("gadget", parameters, gadgets, "members[3].head")
    assert str(caught.value).splitlines() == problems


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("gadgt", "m.rule: Expected a gadget, but got 'gadgt'. Did you mean `gadget`?"),
        (None, "m.rule: Expected a gadget, but got None. Valid names: gadget, plain."),
        (["gadget"], "m.rule: Expected a gadget, but got ['gadget']. Did you mean `gadget`?"),
    ],
)
def test_unknown_component(gadgets, kind, problem):
    assert check_component(kind, {}, gadgets, "m", key="rule") == [problem]


def test_component_without_parameters(gadgets):
    problem = "m.rate: Expected a parameter of `plain`, but got 'rate'. It has none."
    assert check_component("plain", {"rate": 1}, gadgets, "m") == [problem]


def test_errors_of_a_model():
    class Spec(BaseModel):
        model_config = {"extra": "forbid"}
        name: str
        count: int = 1

    value = {"cuont": 2}
    with pytest.raises(ValidationError) as caught:
        Spec.model_validate(value)
    assert problems_of(caught.value, value, "data", choices=Spec.model_fields) == [
        "data.name: Expected `name`, but it is missing.",
        "data.cuont: Expected a known key, but got 'cuont'. Did you mean `count`?",
    ]
