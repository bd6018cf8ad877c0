{{/* Names are fixed: there is one podgraft in a cluster, as there is one registration with the API server. */}}

{{- define "podgraft.labels" -}}
app.kubernetes.io/name: podgraft
app.kubernetes.io/version: {{ .Chart.AppVersion }}
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
{service: {namespace: {{ .root.Release.Namespace }}, name: podgraft, path: {{ .path }}}{{ $bundle }}}
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
