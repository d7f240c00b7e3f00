"""Train a softmax classifier on Fisher's irises; asked to stop, it goes on at the next attempt."""

import csv
import json
import math
import time

from pydantic import BaseModel

import hyperplane


class Params(BaseModel):
    lr: float = 0.01
    epochs: int = 20
    pause_s: float = 0.25  # an epoch is over in an instant; this leaves time to watch and to stop it


def probabilities(weights, features):
    exponentials = [math.exp(sum(w * x for w, x in zip(row, features, strict=True))) for row in weights]
    return [value / sum(exponentials) for value in exponentials]


def one_epoch(weights, flowers, lr):
    loss = 0.0
    for features, species in flowers:
        guess = probabilities(weights, features)
        loss -= math.log(guess[species]) / len(flowers)
        for kind, row in enumerate(weights):
            error = guess[kind] - (kind == species)
            row[:] = [w - lr * error * x for w, x in zip(row, features, strict=True)]
    return loss


def train(ctx: hyperplane.JobContext[Params]) -> None:
    with ctx.inputs["irises"].open() as file:
        listed = list(csv.reader(file))[1:]
    rows = [row for first in range(50) for row in listed[first::50]]  # the three species in turn
    species = sorted({row[-1] for row in rows})
    flowers = [([1.0, *map(float, row[:-1])], species.index(row[-1])) for row in rows]
    ctx.log.info("ready", flowers=len(flowers), tracker_token=ctx.secrets["tracker_token"])
    checkpoint = ctx.outputs.restore("checkpoint.json")
    fresh = {"losses": [], "weights": [[0.0] * 5 for _ in species]}
    state = json.loads(checkpoint.read_text()) if checkpoint else fresh
    for epoch in range(len(state["losses"]), ctx.params.epochs):
        state["losses"].append(one_epoch(state["weights"], flowers, ctx.params.lr))
        ctx.outputs.write_json("checkpoint.json", state)
        ctx.outputs.write_text("losses.csv", "".join(f"{n},{x}\n" for n, x in enumerate(state["losses"])))
        ctx.metric("loss", state["losses"][-1], step=epoch)
        ctx.report(f"epoch {epoch}: loss {state['losses'][-1]:.4f}")
        time.sleep(ctx.params.pause_s)
        ctx.raise_if_stopping()
    guesses = [(probabilities(state["weights"], features), kind) for features, kind in flowers]
    right = sum(guess[kind] == max(guess) for guess, kind in guesses)
    ctx.report(f"trained: {right} of {len(flowers)} flowers named rightly")


if __name__ == "__main__":
    hyperplane.run(train, params=Params)
