"""What people do with a branch, each written once; called by commands and pages."""
