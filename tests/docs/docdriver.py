"""Runs the Python blocks of one page in one namespace: a JSON line in for each, its traceback out."""

import json
import os
import sys
import traceback
import types


def main() -> None:
    """Answer requests from stdin on the descriptor that the command line names."""
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    replies = os.fdopen(int(sys.argv[1]), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    page = sys.modules["__main__"] = types.ModuleType("__main__")
    sys.argv, sys.path[0] = ["page.py"], ""
    for request in requests:
        problem = run(page, **json.loads(request))
        sys.stdout.flush()
        replies.write(json.dumps(problem) + "\n")
        replies.flush()


def run(page: types.ModuleType, *, text: str, line: int, name: str) -> str:
    """Run a block that begins at a line of a page; return what went wrong, or nothing."""
    try:
        code = compile("\n" * (line - 1) + text, name, "exec")
        exec(code, page.__dict__)  # running the examples is what this is for
    except SystemExit as end:
        return "" if end.code in {None, 0} else f"the block exits with {end.code!r}"
    except BaseException:  # noqa: BLE001 - whatever it is, the page is told
        return traceback.format_exc()
    return ""


if __name__ == "__main__":
    main()
