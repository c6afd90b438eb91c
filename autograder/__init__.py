"""The grader: release, grade, report, audit."""
