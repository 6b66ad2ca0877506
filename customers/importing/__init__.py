"""Importing order files of other shops: look, map, try, run, take back.

    plan = plan.prepare(path=…, options=Options(preset="online-retail"))
    plan.dry_run(plan, source_id=…)      what it would do
    run.run(plan, …)                     what customers/import_tasks.py does in the background
    undo.undo(job_id=…, at=…)

Modules: reading (bytes -> rows) with table, csvfile and workbook, conventions (how a file writes dates and numbers), values
(cells -> values), mapping (columns -> fields, presets), lines (row -> checked line), faults (the error file), plan, run, undo.
"""
