"""From a `View` to text: the only package that imports rich or tabulate."""
