import fitting


def run(model, x, y):
    return fitting.fit(model, x, y)
