package main

import (
	"context"
	"errors"
	"log/slog"
)

func openSQLite(context.Context, string) (database, error)                  { return nil, errors.New("x") }
func openPostgres(context.Context, string, *slog.Logger) (database, error) { return nil, errors.New("x") }
