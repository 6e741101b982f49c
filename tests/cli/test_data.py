import json

import pytest
from PIL import Image

from onebit.cli import main
from onebit.data import names

from ..data.server import serving
from ..data.test_download import ARCHIVE, CIFAR10, Source, hashlib, packed


def run(capsys, *words):
    code = main(["data", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err


def test_list_names_every_set(capsys, tmp_path):
    code, out, err = run(capsys, "list", "--root", tmp_path, "--json")
    rows = {row["name"]: row for row in json.loads(out)["data_sets"]}
    assert (code, err) == (0, "")
    assert tuple(rows) == names()
    assert rows["digits"]["state"] == "ready"
    assert rows["cifar10"]["state"] == "missing"
    assert rows["cifar10"]["note"] == "run: onebit data get cifar10"


def test_list_for_a_person(capsys, tmp_path):
    code, out, _ = run(capsys, "list", "--root", tmp_path)
    assert code == 0
    assert "fashion_mnist" in out
    assert "1,437" in out


def test_check_counts(capsys):
    code, out, _ = run(capsys, "check", "digits", "--json")
    (row,) = json.loads(out)["data_sets"]
    assert code == 0
    assert (row["state"], row["train"], row["test"], row["shape"]) == ("checked", 1437, 360, [1, 8, 8])


def test_check_without_a_name_checks_what_is_there(capsys, tmp_path):
    code, out, _ = run(capsys, "check", "--root", tmp_path, "--json")
    assert code == 0
    assert [row["name"] for row in json.loads(out)["data_sets"]] == ["digits"]


def test_check_a_folder_of_images(capsys, tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(3):
            Image.new("RGB", (9, 9)).save(tmp_path / name / f"{number}.png")
    code, out, _ = run(capsys, "check", tmp_path, "--json")
    (row,) = json.loads(out)["data_sets"]
    assert code == 0
    assert (row["train"], row["test"], row["classes"]) == (4, 2, ["cat", "dog"])
    (tmp_path / "cat" / "0.png").write_bytes(b"broken")
    code, _, err = run(capsys, "check", tmp_path)
    assert code == 2
    assert "0.png" in err


@pytest.fixture
def published(monkeypatch):
    content = packed({"cifar-10-batches-py/data_batch_1": b"x"})
    with serving({ARCHIVE: content}) as server:
        checksum = hashlib.md5(content).hexdigest()
        monkeypatch.setattr(CIFAR10, "source", Source((server.url,), {ARCHIVE: checksum}, "cifar-10-batches-py"))
        yield server


def test_get_then_check(capsys, tmp_path, published):
    code, out, _ = run(capsys, "get", "cifar10", "--root", tmp_path, "--json")
    (row,) = json.loads(out)["data_sets"]
    assert code == 0
    assert (row["state"], row["folder"]) == ("ready", str(tmp_path / "cifar10" / "cifar-10-batches-py"))
    code, _, err = run(capsys, "check", "cifar10", "--root", tmp_path)
    assert code == 2
    assert "data_batch_1 is not the published file" in err


def test_get_from_another_address(capsys, tmp_path, published):
    code, _, err = run(capsys, "get", "cifar10", "--root", tmp_path, "--url", f"{published.url}none")
    assert code == 2
    assert "404" in err
    assert run(capsys, "get", "cifar10", "--root", tmp_path, "--url", published.url)[0] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["get"], "which data set"),
        (["get", "digits"], "ready to use"),
        (["get", "cifr10"], "did you mean cifar10"),
        (["check", "folder"], "which folder"),
        (["check", "cifr10"], "did you mean cifar10"),
        (["list", "nothing"], "no data set"),
        (["take"], "take"),
    ],
)
def test_a_mistake_is_one_line(capsys, words, message):
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err
    code, out, _ = run(capsys, *words, "--json")
    assert code == 2
    assert set(json.loads(out)) == {"error", "hint"}
