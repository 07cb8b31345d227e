"""The drill against a system of one's own: candidates, proposals and approvals that attack it, and honest ones.

Everything happens on a scratch copy with a home of its own; ``drill.run_own`` is the way in.

Not covered: code that behaves only while it is evaluated, and attacks that nobody has written down.
"""
