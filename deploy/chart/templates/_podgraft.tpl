{{/* Names are fixed: there is one podgraft in a cluster, as there is one registration with the API server. */}}

{{- define "podgraft.labels" -}}
app.kubernetes.io/name: podgraft
app.kubernetes.io/version: {{ quote .Chart.AppVersion }}
{{- end }}

{{- define "podgraft.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* CEL: whether one of the annotations `a` is ours. The schema keeps quotes out of the prefix. */}}
{{- define "podgraft.ours" -}}
exists(k, k.startsWith('{{ .Values.annotationPrefix }}/') || k.contains('.{{ .Values.annotationPrefix }}/'))
{{- end }}

{{/* What the registration's entries have in common; call with the root, a path and what it is registered for. */}}
{{- define "podgraft.clientConfig" -}}
{{- $bundle := "" }}
{{- if eq .root.Values.tls.mode "secret" }}
{{- $bundle = required "tls.mode secret needs tls.caBundle: the authority of your certificate, in PEM" .root.Values.tls.caBundle | b64enc | printf ", caBundle: %s" }}
{{- end -}}
{service: {namespace: {{ quote .root.Release.Namespace }}, name: podgraft, path: {{ .path }}}{{ $bundle }}}
{{- end }}

{{- define "podgraft.namespaces" -}}
- {key: kubernetes.io/metadata.name, operator: NotIn, values: {{ concat (list "kube-system" .Release.Namespace) .Values.webhook.excludedNamespaces | uniq | toJson }}}
{{- with .Values.webhook.namespaceExpressions }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "podgraft.webhookMetadata" -}}
labels: {{ include "podgraft.labels" . | fromYaml | toJson }}
{{- $annotations := .Values.webhook.annotations }}
{{- if eq .Values.tls.mode "cert-manager" }}
{{- $annotations = merge (dict "cert-manager.io/inject-ca-from" (printf "%s/podgraft" .Release.Namespace)) $annotations }}
{{- end }}
{{- with $annotations }}
annotations: {{ toJson . }}
{{- end }}
{{- end }}

{{/* Values that are right each by itself and can't be meant together. */}}
{{- define "podgraft.check" -}}
{{- range $key, $_ := include "podgraft.labels" . | fromYaml }}
{{- if hasKey $.Values.podLabels $key }}
{{- printf "podLabels has %s, which the chart sets; leave it out" $key | fail }}
{{- end }}
{{- end }}
{{- if eq (int64 .Values.webhook.port) (int64 .Values.admin.port) }}
{{- printf "webhook.port and admin.port are both %d; they are two ports of one container" (int64 .Values.admin.port) | fail }}
{{- end }}
{{- with .Values.autoscaling }}
{{- if and .enabled (gt (int64 .minReplicas) (int64 .maxReplicas)) }}
{{- printf "autoscaling.minReplicas is %d, more than maxReplicas, which is %d" (int64 .minReplicas) (int64 .maxReplicas) | fail }}
{{- end }}
{{- if and .enabled (not (($.Values.resources).requests).cpu) }}
{{- fail "autoscaling measures a share of resources.requests.cpu, which is not set; set it, or leave autoscaling off" }}
{{- end }}
{{- end }}
{{- $values := dict
  "--listen" "listenAddress and webhook.port" "--admin-listen" "listenAddress and admin.port"
  "--tls" "tls.mode" "--tls-dir" "tls.mode" "--tls-secret" "tls.secretName" "--client-ca" "tls.clientCAConfigMap"
  "--shutdown-delay" "shutdownDelaySeconds" "--drain-timeout" "drainTimeoutSeconds"
  "--image" "image" "--image-mirror" "imageMirror" "--annotation-prefix" "annotationPrefix" "--on-unknown" "onUnknown"
  "--workload-errors" "workloadErrors" "--psa-errors" "psaErrors" "--native-sidecars" "nativeSidecars"
  "--foreign-containers" "foreignContainers" "--default-run-as-user" "defaultRunAsUser"
  "--unknown-fields" "unknownFields" "--log-level" "logLevel" "--log-format" "logFormat" }}
{{- range .Values.extraArgs }}
{{- with get $values (regexFind "^--[^=]*" .) }}
{{- printf "extraArgs has an option that the chart sets itself: say it with the value %s" . | fail }}
{{- end }}
{{- end }}
{{- end }}
