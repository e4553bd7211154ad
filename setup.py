"""Build script: where each import package lives on disk. All else is in pyproject.toml."""

from setuptools import find_packages, setup

# Import name -> folder. One name, `mnaslat`, is installed; nothing else.
FOLDERS = {
    "mnaslat": "mnaslat",
    "mnaslat.profiling": "profiling",
    "mnaslat.predictors": "predictors",
    "mnaslat.search": "search",
    "mnaslat.data": "data",
}

setup(
    package_dir=FOLDERS,
    packages=sorted(
        {
            package
            for name, folder in FOLDERS.items()
            for package in [name, *(f"{name}.{sub}" for sub in find_packages(folder))]
        }
    ),
    package_data={
        "mnaslat": ["py.typed", "reports/*.jinja"],
        "mnaslat.predictors": ["pretrained/*.mnaslat", "pretrained/networks.json.gz"],
    },
)
