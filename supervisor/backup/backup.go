// Package backup makes backups of what a server holds and brings them back: it follows the
// log of changes, seals stretches of it into objects that form a chain, keeps them at
// targets, and proves that they restore.
package backup
