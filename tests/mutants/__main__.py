"""`python -m tests.mutants`: try every seeded fault."""

from tests.mutants.run import main

raise SystemExit(main())
