"""Running workflows: the journal of a run, the interpreter that walks a flow, the engines, and the runs of all processes."""
