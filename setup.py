"""Say where the packages lie; everything else is in ``pyproject.toml``."""

from setuptools import find_packages, setup

setup(
    # Not decoration: with it an editable install is a plain path entry, and
    # only path entries are searched for twisted/plugins.
    package_dir={"": "."},
    packages=[*find_packages(include=["loki_twisted", "loki_twisted.*"]), "twisted.plugins"],
    package_data={"loki_twisted": ["py.typed", "page/*.*", "page/vendor/*"]},
)
