"""What may not be in the repository: package sources, paths of one machine, secrets, and links that lead nowhere."""

from __future__ import annotations

import re
from pathlib import Path

from source_tree import ROOT, report, tracked_files

TEXT_SUFFIXES = (
    "",
    ".md",
    ".py",
    ".toml",
    ".yaml",
    ".yml",
    ".json",
    ".lock",
    ".txt",
    ".sh",
    ".service",
    ".html",
    ".js",
)
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|home/\w+|root|Users/\w+|opt/(?:pypi|wheels))(?:/|\b)")
INDEX_OPTION = re.compile(
    r"--(?:extra-)?index-url|--find-links|--trusted-host|https?://[^\s]*(?:/simple\b|pypi\.|pythonhosted)"
)
SECRET = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)\s]*)?\)")
THIS_FILE = Path(__file__)


def lines_matching(pattern: re.Pattern[str]) -> list[str]:
    """Places in tracked text files where ``pattern`` is found."""
    found = []
    for path in tracked_files():
        if path.suffix not in TEXT_SUFFIXES or path == THIS_FILE:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if match := pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number} {match.group(0)}")
    return found


def test_no_file_names_a_package_source() -> None:
    found = lines_matching(INDEX_OPTION)
    assert not found, report(found)


def test_no_file_names_a_path_of_one_machine() -> None:
    found = lines_matching(MACHINE_PATH)
    assert not found, report(found)


def test_no_private_key_is_in_the_repository() -> None:
    found = lines_matching(SECRET)
    assert not found, report(found)


def test_every_pinned_package_carries_hashes() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text(encoding="utf-8")
        pins = re.split(r"\n(?=[a-z])", text.strip())
        bare = [pin.splitlines()[0] for pin in pins if "--hash=sha256:" not in pin]
        assert pins, f"{name} is empty"
        assert not bare, report(bare)


def test_the_development_lock_contains_the_one_of_the_product() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^[a-z][^\s;\\]*", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE))

    assert pins("requirements.lock") <= pins("requirements-dev.lock")


def test_links_between_documents_lead_somewhere() -> None:
    found = [
        f"{path.relative_to(ROOT)} links to {target}"
        for path in tracked_files()
        if path.suffix == ".md"
        for target in LINK.findall(path.read_text(encoding="utf-8"))
        if "://" not in target and not target.startswith("mailto:") and not (path.parent / target).exists()
    ]
    assert not found, report(found)
