"""A backend whose framework is not installed."""

import a_framework_that_nobody_has

BACKEND = a_framework_that_nobody_has.BACKEND
