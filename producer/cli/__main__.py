"""`python -m producer.cli`: the `chatterqueue` command where the script is not on the path."""

import sys

from producer.cli.application import main

sys.exit(main())
