from io import StringIO

from rich.console import Console

from onebit.deploy import Layer, Report
from onebit.deploy.verify import Verified


def test_it_prints_as_a_table() -> None:
    layers = [
        Layer("stem", "conv_float", 32, 32, 1200, False, "first layer: real-valued input"),
        Layer("conv[/b]", "conv_binary", 1, 1, 64, True, "writes bits"),
    ]
    text = StringIO()
    Console(file=text, width=120).print(
        Report("m.obn", 4096, layers, ["a remark"], Verified(8, ("avx2", "portable"), 3e-7, 1))
    )
    lines = text.getvalue().splitlines()
    assert "m.obn: 4,096 bytes" in lines[0]
    assert any("stem" in line and "32 × 32" in line and "no: first layer" in line and "1,200" in line for line in lines)
    assert any("conv[/b]" in line and "1 × 1" in line and "yes: writes bits" in line for line in lines)
    assert "a remark" in text.getvalue()
    assert "verified on 8 images on avx2 and portable" in " ".join(lines)
    assert "by 3e-07 of the largest; on 1 of them a sign within rounding" in " ".join(" ".join(lines).split())


def test_print_shows_the_table() -> None:
    report = Report(
        "m.obn", 4096, [Layer("stem", "conv_float", 32, 32, 1200, False, "first")], [], Verified(8, ("avx2",), 0.0, 0)
    )
    assert "32 × 32" in str(report)
    assert "m.obn: 4,096 bytes" in str(report)
    assert "32 × 32" in report._repr_html_()
