"""How a context begins and ends, and which one is current."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

import hyperplane
from hyperplane.context import JobContext

MakeContext = Callable[..., JobContext[Any]]
FACETS = ("secrets", "params", "inputs")


class LifeConformance:
    """Fixture `make_context`: returns a context made with the keywords that it is given."""

    def test_entering_gives_the_context(self, make_context: MakeContext) -> None:
        """`with` binds the very object."""
        context = make_context()
        with context as entered:
            assert entered is context

    def test_the_innermost_is_current(self, make_context: MakeContext) -> None:
        """Contexts nest, and leaving one brings back the one around it."""
        seen = []
        with make_context() as outer:
            with make_context() as inner:
                seen.append(hyperplane.current_context() is inner)
            seen.append(hyperplane.current_context() is outer)
        assert seen == [True, True]

    def test_none_is_current_outside(self, make_context: MakeContext) -> None:
        """A context that is made but not entered, or left again, is not current."""
        with make_context():
            pass
        make_context()
        with pytest.raises(hyperplane.NoContextError):
            hyperplane.current_context()

    def test_threads_find_it(self, make_context: MakeContext) -> None:
        """A thread, which inherits nothing, finds the first that was entered."""
        found = []
        with make_context() as context:
            thread = threading.Thread(target=lambda: found.append(hyperplane.current_context()))
            thread.start()
            thread.join()
        assert found == [context]

    def test_the_seeds_functions_use_it(
        self, make_context: MakeContext, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """`get_secret`, `get_env_param` and `report` are about the current context."""
        with make_context(secrets={"token": "sesame-opens-it"}, environ={"EPOCHS": "3"}):
            told = (hyperplane.get_secret("token"), hyperplane.get_env_param("EPOCHS"))
            hyperplane.report("done")
        assert (told, capsys.readouterr().out) == (("sesame-opens-it", "3"), "done\n")

    @pytest.mark.parametrize("facet", FACETS)
    def test_a_closed_context_says_so(self, make_context: MakeContext, facet: str) -> None:
        """What is asked of it after the block is an error of its own."""
        with make_context() as context:
            pass
        with pytest.raises(hyperplane.ContextClosedError):
            getattr(context, facet)

    def test_a_closed_context_keeps_no_outputs(self, make_context: MakeContext) -> None:
        """Writing an output after the block is an error, and so is a report."""
        with make_context() as context:
            pass
        with pytest.raises(hyperplane.ContextClosedError):
            context.outputs.write_text("late.txt", "late")
        with pytest.raises(hyperplane.ContextClosedError):
            context.report("late")

    def test_a_closed_context_cannot_be_entered(self, make_context: MakeContext) -> None:
        """A context lives once."""
        context = make_context()
        context.close()
        with pytest.raises(hyperplane.ContextClosedError), context:
            pytest.fail("the block must not begin")  # pragma: no cover - reached where the suite fails

    def test_a_closed_context_still_logs(
        self, make_context: MakeContext, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """`ctx.log` works on, for what ends after the context."""
        with make_context() as context:
            pass
        context.log.info("afterwards")
        assert "afterwards" in capsys.readouterr().err

    def test_closing_twice_is_closing_once(self, make_context: MakeContext) -> None:
        """A second `close()` does nothing."""
        context = make_context()
        context.close()
        context.close()
        assert repr(context).endswith(f"{context.job.id} on {context.job.platform}>")

    def test_a_failure_of_the_job_passes(self, make_context: MakeContext) -> None:
        """The job's own exception comes out, the very one."""
        failure = ZeroDivisionError("of the job")
        with pytest.raises(ZeroDivisionError) as caught, make_context():
            raise failure
        assert caught.value is failure

    @pytest.mark.parametrize("code", [None, 0, 3, "a text"])
    def test_an_exit_of_the_job_passes(self, make_context: MakeContext, code: int | str | None) -> None:
        """`sys.exit` in a job ends the process with the job's own code."""
        with pytest.raises(SystemExit) as caught, make_context():
            raise SystemExit(code)
        assert caught.value.code == code

    def test_exported_secrets_are_put_back(
        self, make_context: MakeContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`secrets.export` lasts as long as the context."""
        monkeypatch.setenv("PGPASSWORD", "of-the-user")
        with make_context(secrets={"pg": "sesame-opens-it"}) as context:
            context.secrets.export(PGPASSWORD="pg")
            inside = _variable("PGPASSWORD")
        assert (inside, _variable("PGPASSWORD")) == ("sesame-opens-it", "of-the-user")


def _variable(name: str) -> str | None:
    from hyperplane.environment import Environment

    return Environment.capture(env_file=None).get(name)
