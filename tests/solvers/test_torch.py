from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from potstill.chat import Ask, Completion, Message, Solver
from potstill.errors import InputError, PotstillError
from potstill.ledger.ledger import Ledger
from potstill.models.adapters import mounted
from potstill.models.decoding import Request
from potstill.models.model import prompt_tokens
from potstill.models.torch_base import Base, load_base
from potstill.models.torch_decoding import TorchDecoder, draw_tokens, slots_that_fit
from potstill.pocket import STUDENT_PATH
from potstill.pocket.problems import generate
from potstill.protocol.parse import parse_completion
from potstill.records import Condition, Finish, Problem, Sampling, TextGold
from potstill.solvers.local import LocalSolver
from potstill.solvers.solve import solve
from potstill.solvers.torch import Options, open_solver
from potstill.training.examples import Example
from potstill.training.loop import train_cell
from potstill.training.recipe import Recipe
from potstill.training.records import GridCell
from random_model import write_random_model
from support.decoded import decode_all

GREEDY = Sampling(max_tokens=24)
DRAWN = Sampling(temperature=1.0, top_p=0.95, seed=5, max_tokens=12)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    texts = [f"What is {k} and {k * k} of {k % 7} things?" for k in range(50)]
    folder = write_random_model(tmp_path_factory.mktemp("m") / "tiny", texts, context_tokens=160)
    return load_base(folder, device="cpu")


@pytest.fixture(scope="module")
def adapter(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student that has learnt some short answers, so that it stops by itself now and then."""
    examples = [Example(f"p{k}", ask(k).messages, f"{k} and {k}"[: k % 5 + 1]) for k in range(40)]
    recipe = Recipe(learning_rate=1e-2, iterations=30, threads=1, max_sequence_tokens=150)
    out = tmp_path_factory.mktemp("students") / "R1"
    train_cell(base, GridCell("R1", 0), examples, examples[:5], recipe, out, data_hash="")
    return out


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.sqlite") as opened:
        yield opened


def ask(number: int, sampling: Sampling = GREEDY, sample: int = 0) -> Ask:
    text = f"What is {number}" + " and then some" * (number % 6) + "?"
    return Ask(f"p{number}", (Message("user", text),), sampling, sample)


def answers(solver: LocalSolver, asks: list[Ask]) -> dict[tuple[str, int], Completion]:
    results = list(solver.complete(iter(asks), "evaluation"))
    assert all(result.asked for result in results)
    assert Counter((r.tag, r.sample) for r in results) == Counter((a.tag, a.sample) for a in asks)
    return {(result.tag, result.sample): result for result in results}


def one_by_one(base: Base, asked: Ask) -> tuple[str, Finish, int]:
    """The reference: no cache, no batch, the whole forward for every token."""
    tokens = prompt_tokens(base.tokenizer, asked.messages)
    start = len(tokens)
    limit = min(asked.sampling.max_tokens, base.context_tokens - start)
    while len(tokens) - start < limit:
        with torch.no_grad():
            token = int(base.model(torch.tensor([tokens])).logits[0, -1].argmax())
        if token == base.tokenizer.eos_token_id:
            text = base.tokenizer.decode(tokens[start:], skip_special_tokens=True)
            return text, Finish.STOP, len(tokens) - start + 1
        tokens.append(token)
    text = base.tokenizer.decode(tokens[start:], skip_special_tokens=True)
    return text, Finish.LENGTH, len(tokens) - start


@pytest.mark.parametrize(("batch_size", "taught"), [(0, True), (7, True), (0, False), (7, False)])
def test_greedy_answers_are_those_of_one_by_one(base, adapter, ledger, batch_size, taught) -> None:
    adapter = adapter if taught else None
    solver = LocalSolver(base, adapter, ledger, solver_id="R1", batch_size=batch_size)
    asks = [ask(k, Sampling(max_tokens=k % 24 + 1)) for k in range(60)]
    got = answers(solver, asks)
    with mounted(base, adapter):
        for asked in asks:
            one = got[asked.tag, 0]
            assert (one.text, one.finish, one.tokens_out) == one_by_one(base, asked)
            assert one.tokens_in == len(prompt_tokens(base.tokenizer, asked.messages))
    finishes = Counter(result.finish for result in got.values())
    assert finishes[Finish.LENGTH] >= 5
    assert finishes[Finish.STOP] >= 20 or not taught


def test_base_and_student_answer_differently_and_the_base_stays(base, adapter, ledger) -> None:
    asks = [ask(k) for k in range(8)]
    before = {name: tensor.clone() for name, tensor in base.model.state_dict().items()}
    plain = answers(LocalSolver(base, None, ledger, solver_id="base"), asks)
    taught = answers(LocalSolver(base, adapter, ledger, solver_id="R1"), asks)
    assert [r.text for r in plain.values()] != [r.text for r in taught.values()]
    for asked in asks:
        assert plain[asked.tag, 0].text == one_by_one(base, asked)[0]
    after = base.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_draw_does_not_depend_on_the_batch(base, tmp_path) -> None:
    asks = [ask(k, DRAWN, sample) for k in range(12) for sample in range(3)]
    texts = []
    for name, batch_size, order in (("a", 0, asks), ("b", 5, asks[::-1]), ("c", 1, asks[:9])):
        with Ledger.open(tmp_path / f"{name}.sqlite") as ledger:
            solver = LocalSolver(base, None, ledger, solver_id="base", batch_size=batch_size)
            texts.append({key: one.text for key, one in answers(solver, order).items()})
    assert texts[0] == texts[1]
    assert texts[2].items() <= texts[0].items()
    assert len({texts[0]["p3", sample] for sample in range(3)}) == 3
    with Ledger.open(tmp_path / "other.sqlite") as ledger:
        other = Sampling(temperature=1.0, top_p=0.95, seed=6, max_tokens=12)
        solver = LocalSolver(base, None, ledger, solver_id="base")
        assert answers(solver, [ask(3, other)])["p3", 0].text != texts[0]["p3", 0]


def test_draws_follow_the_probabilities_and_top_p() -> None:
    logits = torch.log(torch.tensor([[0.1, 0.6, 0.3, 1e-9]])).expand(4000, 4)
    draws = [random.Random(number) for number in range(4000)]
    free = Counter(draw_tokens(logits, [Sampling(temperature=1.0)] * 4000, draws))
    assert [free[token] / 4000 for token in range(4)] == pytest.approx([0.1, 0.6, 0.3, 0], abs=0.03)
    cut = Counter(draw_tokens(logits, [Sampling(temperature=1.0, top_p=0.7)] * 4000, draws))
    assert [cut[token] / 4000 for token in range(4)] == pytest.approx(
        [0, 2 / 3, 1 / 3, 0], abs=0.03
    )
    narrow = draw_tokens(logits, [Sampling(temperature=1.0, top_p=1e-6)] * 4000, draws)
    assert set(narrow) == {1}
    mixed = [GREEDY, Sampling(temperature=50.0)] * 2000
    assert set(draw_tokens(logits, mixed, draws)[::2]) == {1}


def test_what_the_ledger_holds_is_not_generated_again(base, adapter, ledger, monkeypatch) -> None:
    asks = [ask(k) for k in range(10)]
    solver = LocalSolver(base, adapter, ledger, solver_id="R1")
    first = answers(solver, asks[:6])
    stored = list(ledger.entries())
    assert {entry.provider for entry in stored} == {"local"}
    assert {entry.model for entry in stored} == {solver.ledger_model}
    assert base.base_hash[:16] in solver.ledger_model
    assert {one.ledger_key for one in first.values()} == {entry.key for entry in stored}
    assert all(entry.seconds > 0 for entry in stored)
    begun = []
    honest = LocalSolver._open
    monkeypatch.setattr(LocalSolver, "_open", lambda *a: begun.append(a) or honest(*a))
    again = answers(LocalSolver(base, adapter, ledger, solver_id="R1"), asks[:6])
    assert again == first
    assert begun == []
    rest = answers(solver, asks)
    assert len(begun) == 1
    assert len(list(ledger.entries())) == 10
    assert first.items() <= rest.items()
    assert LocalSolver(base, None, ledger, solver_id="R1").ledger_model != solver.ledger_model


def test_recorded_replies_among_new_ones_are_handed_on_as_they_are_met(
    base, ledger, monkeypatch
) -> None:
    monkeypatch.setattr("potstill.solvers.local._RECORDED_AT_ONCE", 4)
    solver = LocalSolver(base, None, ledger, solver_id="base", batch_size=6)
    recorded = answers(solver, [ask(k) for k in range(30) if k % 10])
    drawn = []

    def asks() -> Iterator[Ask]:
        for number in range(30):
            drawn.append(number)
            yield ask(number)

    results = solver.complete(asks(), "evaluation")
    met = [next(results).tag for _ in range(4)]
    assert met == ["p1", "p2", "p3", "p4"]
    assert len(drawn) == 5
    rest = {result.tag: result for result in results}
    assert len(rest) == 26
    assert [rest[tag] for tag, _ in recorded if tag not in met] == [
        one for (tag, _), one in recorded.items() if tag not in met
    ]
    for number in range(0, 30, 10):
        assert rest[f"p{number}"].text == one_by_one(base, ask(number))[0]


def test_a_reply_is_on_disk_before_it_is_yielded(base, ledger) -> None:
    solver = LocalSolver(base, None, ledger, solver_id="base", batch_size=4)
    for result in solver.complete((ask(k) for k in range(20)), "evaluation"):
        reply = ledger.get(result.ledger_key)
        assert reply is not None
        assert parse_completion(reply).tokens_out == result.tokens_out


def test_asks_are_drawn_as_slots_become_free(base, ledger) -> None:
    drawn = []

    def asks() -> Iterator[Ask]:
        for number in range(200):
            drawn.append(number)
            yield ask(number)

    solver = LocalSolver(base, None, ledger, solver_id="base", batch_size=4)
    results = solver.complete(asks(), "evaluation")
    next(results)
    assert len(drawn) < 200
    assert len(list(results)) == 199


def test_a_solver_that_is_left_half_way_gives_the_base_back(base, adapter, ledger) -> None:
    before = {name: tensor.clone() for name, tensor in base.model.state_dict().items()}
    results = LocalSolver(base, adapter, ledger, solver_id="R1", batch_size=2).complete(
        (ask(k) for k in range(200)), "evaluation"
    )
    next(results)
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    other = LocalSolver(base, None, ledger, solver_id="base")
    with pytest.raises(PotstillError, match="in use and cannot serve the solver base too"):
        list(other.complete([ask(1)], "evaluation"))
    results.close()
    after = base.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert len(list(other.complete([ask(1)], "evaluation"))) == 1


def test_a_prompt_beyond_the_context_is_an_error_of_its_own(base, ledger) -> None:
    long = Ask("long", (Message("user", "more " * 300),), GREEDY)
    close = Ask("close", ask(0).messages, Sampling(max_tokens=10_000))
    got = answers(LocalSolver(base, None, ledger, solver_id="base"), [long, close, ask(2)])
    assert got["long", 0].finish is Finish.ERROR
    assert "context of 160 tokens" in got["long", 0].error
    assert got["long", 0].text == ""
    assert ledger.get(got["long", 0].ledger_key) is None
    assert got["close", 0].tokens_in + got["close", 0].tokens_out <= 160
    assert got["p2", 0].finish is not Finish.ERROR
    only = answers(LocalSolver(base, None, ledger, solver_id="base"), [long])
    assert only["long", 0].finish is Finish.ERROR
    assert list(LocalSolver(base, None, ledger, solver_id="base").complete([], "evaluation")) == []


def test_it_is_a_solver_and_solves_problems(base, ledger) -> None:
    solver = LocalSolver(base, None, ledger, solver_id="base")
    assert isinstance(solver, Solver)
    assert (solver.id, solver.precision) == ("base", "float32")
    problems = [Problem(f"q{k}", f"What is {k}?", TextGold("1"), "integer", "t") for k in range(3)]
    condition = Condition("set", "Think.", "{problem}", GREEDY, "float32")
    responses = list(solve(solver, problems, condition, stage="evaluation"))
    assert {response.problem_id for response in responses} == {"q0", "q1", "q2"}


def test_bfloat16_runs_with_the_adapter_beside_the_weights(base, adapter, tmp_path) -> None:
    folder = base.model.name_or_path
    half = load_base(folder, precision="bfloat16", device="cpu")
    with Ledger.open(tmp_path / "half.sqlite") as ledger:
        solver = LocalSolver(half, adapter, ledger, solver_id="R1")
        got = answers(solver, [ask(k) for k in range(6)])
        assert solver.ledger_model.endswith("@bfloat16")
        plain = answers(LocalSolver(half, None, ledger, solver_id="b"), [ask(k) for k in range(6)])
    assert [one.text for one in got.values()] != [one.text for one in plain.values()]


def test_out_of_memory_names_the_setting_to_lower(base, ledger, monkeypatch) -> None:
    def hungry(*_: object) -> None:
        torch.empty(2**60)

    monkeypatch.setattr(TorchDecoder, "step", hungry)
    solver = LocalSolver(base, None, ledger, solver_id="base", batch_size=4)
    with pytest.raises(PotstillError, match="with 4 sequences at once; lower"):
        list(solver.complete([ask(1)], "evaluation"))


def test_an_adapter_that_is_not_there_is_named_at_once(base, ledger, tmp_path) -> None:
    with pytest.raises(InputError, match="holds no adapter"):
        LocalSolver(base, tmp_path / "nothing", ledger, solver_id="R1")


def test_slots_follow_memory(base, monkeypatch) -> None:
    class Memory:
        available = 2 * 40 * 100 * 2 * 3 * 2 * 8 * 4

    monkeypatch.setattr("psutil.virtual_memory", Memory)
    assert slots_that_fit(base, 100) == 40
    assert slots_that_fit(base, 1) == 256
    assert slots_that_fit(base, 10**9) == 25


def test_a_study_opens_it_from_its_options(base, ledger) -> None:
    options = Options(model=base.model.name_or_path, device="cpu", batch_size=3)
    with open_solver(options, ledger) as solver:
        assert solver.id == "tiny"
        assert answers(solver, [ask(1)])["p1", 0].text == one_by_one(base, ask(1))[0]


def test_options_are_strict() -> None:
    assert Options(model="models/x").batch_size == 0
    with pytest.raises(ValueError, match="batch_sise"):
        Options(model="x", batch_sise=4)


def test_the_pocket_student_answers_as_one_by_one(ledger) -> None:
    pocket = load_base(STUDENT_PATH, device="cpu")
    problems = generate("valid", 50, seed=3)
    asks = [
        Ask(problem.key, (Message("user", problem.text),), Sampling(max_tokens=80))
        for problem in problems
    ]
    got = answers(LocalSolver(pocket, None, ledger, solver_id="base"), asks)
    assert len(got) == 50
    for asked in asks:
        one = got[asked.tag, 0]
        assert (one.text, one.finish, one.tokens_out) == one_by_one(pocket, asked)


def test_dropped_sequences_leave_and_the_others_answer_as_before(base) -> None:
    def requests() -> list[Request]:
        return [
            Request(k, tuple(prompt_tokens(base.tokenizer, ask(k).messages)), DRAWN, sample=k)
            for k in range(20)
        ]

    told = {one.key: one.tokens for one in decode_all(TorchDecoder(base, 20), requests())}
    decoder = TorchDecoder(base, 12)
    begun = decoder.step(requests()[:12])
    assert {run.request.key for run in begun} == set(range(12))
    assert {id(run) for run in decoder.step([])} <= {id(run) for run in begun}
    gone = {1, 2, 7, 11, 500}
    decoder.drop(gone)
    assert decoder.active == 8
    begun += decoder.step(requests()[12:16])
    decoder.drop(set())
    while decoder.active:
        decoder.step([])
    found = {run.request.key: run for run in begun}
    assert {key for key, run in found.items() if run.finish} == set(range(16)) - gone
    assert all(tuple(found[key].tokens) == told[key] for key in set(range(16)) - gone)
