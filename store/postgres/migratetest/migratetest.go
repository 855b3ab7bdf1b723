// Package migratetest runs what postgres.MigrationSQL returns through the
// migration tools that hosts have, in and outside of transactions.
package migratetest
