"""Can it be trusted enough yet? Four stages and the next rung of autonomy, each yes, no, or cannot tell yet.  # W-5"""
