"""What one hand-in may use. Every limit that is hit becomes a sentence in the student's feedback."""

from dataclasses import asdict, dataclass, fields

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Limits of one sandbox. Sizes in MiB, times in seconds, counts as they are."""

    wall_s: float = 600.0  # the whole hand-in, by the clock
    cpu_s: int = 300  # processor time of one process
    memory_mb: int = 2048  # all processes of the hand-in together
    processes: int = 64  # processes and threads at one time
    open_files: int = 512  # of one process
    file_mb: int = 64  # the largest file
    folder_mb: int = 128  # working folder and /tmp, each
    inodes: int = 20_000  # files and folders in the working folder and in /tmp, each

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict) -> "Limits":
        """Raises ValueError naming a limit that does not exist or is not a positive number."""
        known = {field.name: field.type for field in fields(cls)}
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"Unknown limit {name!r}. Limits are: {', '.join(known)}.")
            if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
                raise ValueError(f"Limit {name} is {value!r}; a positive number was wanted.")
        return cls(**values)
