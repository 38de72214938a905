"""What stands at a place below a value of a template, through its variables?"""

from infra.checks import bicep_file


def at(file: bicep_file.BicepFile, value: bicep_file.Value, place: str) -> str:
    """Return what is written at a place below a value, through variables."""
    for step in place.split("."):
        value = resolved(file, value)
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return "nothing"
    return written(value)


def written(value: bicep_file.Value) -> str:
    """Return a value as it is written, without quotes."""
    text = value.text if isinstance(value, bicep_file.Expression) else str(value)
    return text.strip("'")


def resolved(file: bicep_file.BicepFile, value: bicep_file.Value) -> bicep_file.Value:
    """Return what a variable holds, with unions of objects made one."""
    if not isinstance(value, bicep_file.Expression):
        return value
    if value.text in file.variables:
        return resolved(file, file.variables[value.text].value)
    if value.text.startswith("union("):
        parts = [resolved(file, part) for part in bicep_file.alternatives(value)]
        return {
            key: inner for part in parts if isinstance(part, dict) for key, inner in part.items()
        }
    return value
