"""The report of a study: one HTML page that needs nothing beside itself."""

from runs.report.page import is_made_from as is_made_from
from runs.report.page import render as render
from runs.report.page import write_report as write_report
