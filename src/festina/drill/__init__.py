"""The drill: known ways to game an evaluator, carried out for real, and a record of which ones worked.

``model`` and ``render`` are shared by both drills: the one against any evaluator (``festina drill TARGET``) and the
one against a system of one's own. The other modules here belong to the stand-alone form.

Not covered: attacks nobody has written down, and code that behaves only while it is being evaluated.
"""
