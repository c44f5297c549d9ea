"""Write down every training step: losses and masks, and the weights at the end."""

from mmengine.runner import Runner


def record(runner: Runner) -> dict:
    """Let a runner fill a dictionary while it trains."""
    model = runner.model
    steps = {'losses': [], 'masks': []}
    ask, parse_losses = model._ask, model.parse_losses

    def asked(*args):
        answer = ask(*args)
        steps['masks'].append(getattr(answer, 'mask', answer).clone())
        return answer

    def parsed(losses):
        loss, logged = parse_losses(losses)
        steps['losses'].append({name: value.item() for name, value in logged.items()})
        return loss, logged

    model._ask, model.parse_losses = asked, parsed
    return steps


def train(runner: Runner) -> dict:
    """Train to the end and return what :func:`record` wrote, with the weights."""
    steps = record(runner)
    Runner.train(runner)
    return {**steps, 'weights': runner.model.state_dict()}
