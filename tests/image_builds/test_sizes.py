"""What each megabyte is: every file has one owner, and nothing is counted twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runner_shell.images.sizes import MEGABYTE, Row, Sized, is_ledger, rows, table, total

SITE = "/opt/runner-shell/lib/python3.13/site-packages"
RECORD = f"{SITE}/msg_spec-1.0.dist-info/RECORD"
LIST = "/var/lib/dpkg/info/git:amd64.list"
LEDGERS = {
    RECORD: "msgspec/__init__.py,sha256=x,1\n../../../bin/msgspec,,\n",
    LIST: "/usr/bin/git\n/lib/git-core/thing\n",
}


def owners(*paths: str) -> dict[str, tuple[str, str]]:
    """Kind and owner of each of these paths."""
    return {
        path: (row.kind, row.owner) for path in paths for row in rows([Sized(0, path, 1)], LEDGERS)
    }


def test_a_file_belongs_to_who_lists_it() -> None:
    """The distribution's record, the package's list, also under its older name for `/usr`."""
    assert owners(
        f"{SITE}/msgspec/__init__.py",
        "/opt/runner-shell/bin/msgspec",
        "/usr/bin/git",
        "/usr/lib/git-core/thing",
        "/usr/lib/python3.13/os.py",
        "/etc/passwd",
    ) == {
        f"{SITE}/msgspec/__init__.py": ("distribution", "msg-spec"),
        "/opt/runner-shell/bin/msgspec": ("distribution", "msg-spec"),
        "/usr/bin/git": ("package", "git"),
        "/usr/lib/git-core/thing": ("package", "git"),
        "/usr/lib/python3.13/os.py": ("python", "Python"),
        "/etc/passwd": ("other", "of no package"),
    }


def test_bytecode_belongs_to_its_source_and_is_told_apart() -> None:
    """Both are the owner's, and how much of it is bytecode is said."""
    files = [
        Sized(3, f"{SITE}/msgspec/__init__.py", 100),
        Sized(3, f"{SITE}/msgspec/__pycache__/__init__.cpython-313.pyc", 60),
    ]
    (row,) = rows(files, LEDGERS)
    assert row == Row(layer=3, owner="msg-spec", kind="distribution", bytes=160, bytecode=60)


def test_the_vendor_s_cli_stands_for_itself() -> None:
    """It is most of its image, and no part of the SDK's own size."""
    path = f"{SITE}/claude_agent_sdk/_bundled/claude"
    assert owners(path)[path][1] == "Claude Code, the vendor's CLI"


def test_what_says_who_owns_what_is_asked_for() -> None:
    """Records of our environment and lists of packages, nothing else."""
    assert is_ledger(RECORD)
    assert is_ledger(LIST)
    assert not is_ledger("/var/lib/dpkg/info/git.postinst")
    assert not is_ledger("/usr/lib/python3/dist-packages/x.dist-info/RECORD")


@given(
    st.lists(
        st.builds(
            Sized,
            st.integers(0, 4),
            st.sampled_from(["/usr/bin/git", "/etc/passwd", f"{SITE}/msgspec/__init__.py", "/a"]),
            st.integers(0, 3 * MEGABYTE),
        )
    )
)
def test_nothing_is_lost_and_nothing_counted_twice(files: list[Sized]) -> None:
    """The rows sum up to the files, and the table to the rows, whatever is folded together."""
    found = rows(files, LEDGERS)
    assert total(found) == sum(file.size for file in files)
    said = sum(megabytes for _, megabytes, _ in table(found))
    assert abs(said * MEGABYTE - total(found)) < 1
