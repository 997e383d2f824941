"""Create or upgrade the database before the workers start."""

from settings import TARGET

import waiaas

waiaas.connect(TARGET).close()
