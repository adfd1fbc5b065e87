"""Random programs on the running runtime, and a model that knows what may come of them.

`cast` has the actors, `steps` what a program is made of, `worlds` the stores it runs on and what is done to
them, `playing` runs it and notes what can be seen, and `judging` compares that with the model.
"""
