def solve(xs):
    out = list(xs)
    out.sort()
    return out
