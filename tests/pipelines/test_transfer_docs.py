"""The plans that docs/transfer.md shows are plans that can be fitted."""

from __future__ import annotations

import re
from pathlib import Path

from support import ROOT

from backbones.declaration import read_declaration
from pipelines.plan import make_plan

PAGE = (ROOT / "docs" / "transfer.md").read_text(encoding="utf-8")


def test_every_member_of_the_page_is_a_plan_of_its_own(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    (tmp_path / "plans.yaml").write_text(block)
    (tmp_path / "mobilefacenet.pt").write_bytes(b"x")
    plan = make_plan(tmp_path / "plans.yaml")
    assert len({member.fingerprint("d") for member in plan.members}) == len(plan.members) >= 8
    table = PAGE.partition("| plan |")[2].partition("\n\n")[0]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    for field in ("until", "backbone_lr", "layer_decay", "probe", "gradual", "batch_norm"):
        assert any(field in row for row in rows)
        assert field in block


def test_the_inputs_of_the_page_are_those_that_backbones_declare() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| `(\{size.*?)` \|", PAGE, flags=re.MULTILINE))
    assert set(rows) == {"mobile_facenet", "facenet", "light_cnn", "vgg16", "timm"}
    for name, row in rows.items():
        native = read_declaration(name).native
        assert f"size: {native.get('size', '…')}," in row
        assert f"channels: {native['channels']}," in row
        template = native.get("template")
        assert not template or f"| `{name}` | `{row}` | `{{template: {template}}}` |" in PAGE
