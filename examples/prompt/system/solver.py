"""From a question to an answer. ``ask`` puts one text to the model and gives back what it says."""


def solve(question, template, ask):
    return ask(template.replace("{prompt}", question)).strip()
