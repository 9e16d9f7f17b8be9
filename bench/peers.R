# One evaluation by Debian's laeken and survey, timed: run by bench/inequality.py.
#     Rscript bench/peers.R rows.bin n     values, weights, clusters as n doubles each
# Prints lines "peer seconds value": the weighted Gini of laeken, the clustered error of a weighted mean of survey.
given <- commandArgs(trailingOnly = TRUE)
n <- as.integer(given[2])
read <- file(given[1], "rb")
rows <- matrix(readBin(read, "double", 3 * n), n)
close(read)
timed <- function(peer, evaluate) {
  best <- Inf
  for (repeated in 1:3) best <- min(best, system.time(found <- evaluate())[["elapsed"]])
  cat(peer, format(best, digits = 6), format(found, digits = 12), "\n")
}
if (requireNamespace("laeken", quietly = TRUE))
  timed("laeken", function() laeken::gini(rows[, 1], weights = rows[, 2])$value / 100)
if (requireNamespace("survey", quietly = TRUE)) {
  frame <- data.frame(value = rows[, 1], weight = rows[, 2], cluster = rows[, 3])
  timed("survey", function() {
    design <- survey::svydesign(ids = ~cluster, weights = ~weight, data = frame)
    survey::SE(survey::svymean(~value, design))[[1]]
  })
}
