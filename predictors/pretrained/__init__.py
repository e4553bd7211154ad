"""Lists and loads the predictors that come with the package."""
