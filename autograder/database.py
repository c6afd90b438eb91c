"""A new gradebook as nbgrader makes one, without the seconds it takes to ask the `alembic` command for a version."""

from alembic.script import ScriptDirectory
from nbgrader.api import Base
from nbgrader.dbutil import ALEMBIC_DIR
from sqlalchemy import create_engine, inspect, text


def make(url: str) -> None:
    """Makes nbgrader's tables where the database has none at all, marked with the version that its migrations end in.

    A database that has tables is left as it is: nbgrader brings it up to date.
    """
    engine = create_engine(url)
    try:
        if inspect(engine).get_table_names():
            return
        Base.metadata.create_all(engine)
        version = ScriptDirectory(ALEMBIC_DIR).get_current_head()
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL);"))
            connection.execute(text("INSERT INTO alembic_version (version_num) VALUES (:v)"), {"v": version})
    finally:
        engine.dispose()
