"""${message}.

Revision: ${up_revision}, after ${down_revision}. Never edit it once it has been released.
"""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Bring a database of the former revision to this one."""
    ${upgrades if upgrades else "pass"}
