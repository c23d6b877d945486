module github.com/secgear/secgear

go 1.26
